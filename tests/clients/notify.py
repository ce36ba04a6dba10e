"""Runs a program with a NOTIFY_SOCKET, as a service manager does: sd_notify(3).

    notify.py MOUNTPOINT SECONDS COMMAND...

Succeeds if READY=1 came and the mount answered from then on; the program is ended with SIGTERM and must end by
that with status 0.
"""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile


def main(point, seconds, command):
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        address = os.path.join(directory, "notify")
        listener.bind(address)
        listener.settimeout(seconds)
        program = subprocess.Popen(command, env={**os.environ, "NOTIFY_SOCKET": address})
        try:
            said = b""
            while b"READY=1" not in said.splitlines():
                said = listener.recv(4096)
            text = pathlib.Path(point, "README.txt").read_text()
            assert "DestinE" in text, text
            assert program.poll() is None, f"ended with {program.returncode}"
            program.send_signal(signal.SIGTERM)
            status = program.wait(timeout=15)
            assert status == 0, f"ended with {status}"
        except TimeoutError:
            sys.exit(f"no READY=1 within {seconds} s; status {program.poll()}")
        finally:
            if program.poll() is None:
                program.kill()
                program.wait()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]), sys.argv[3:])
