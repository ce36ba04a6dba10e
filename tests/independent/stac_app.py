"""The STAC server's entry point: its own application, with the bundled DuckDB extensions instead of downloads."""

import rustac
import rustac_duckdb_extensions
from stac_fastapi.geoparquet.api import create

app = create(
    duckdb_client=rustac.DuckdbClient(
        extension_directory=str(rustac_duckdb_extensions.extension_directory()), install_extensions=False
    )
).app
