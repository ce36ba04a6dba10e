//! Services by https: only a certificate that an authority of this machine has signed for the host, and that is good
//! today, is spoken to. Each relay ends TLS before the stand-in and counts the bytes that came through.

use std::fs;
use std::net::SocketAddr;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dcms_emulator::accounts::{PASSWORD, USER};
use dcms_emulator::behaviour::LoginPage;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, date_time_ymd,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::harness::{Bench, PRODUCT, Setup, errno, output_of, read};

/// An authority.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Expired,
    NotYet,
    OtherHost,
    OtherAuthority,
    SelfSigned,
    ForClients,
    NotTls,
}

/// A server of TLS before the stand-in at `target`.
async fn relay(fault: Fault, authority: &Authority, target: SocketAddr) -> (SocketAddr, Arc<AtomicU64>) {
    let host = if fault == Fault::OtherHost { "other.example" } else { "127.0.0.1" };
    let mut params = CertificateParams::new([host.to_owned()]).unwrap();
    (params.not_before, params.not_after) = match fault {
        Fault::Expired => (date_time_ymd(2020, 1, 1), date_time_ymd(2020, 12, 31)),
        Fault::NotYet => (date_time_ymd(2090, 1, 1), date_time_ymd(2090, 12, 31)),
        _ => (date_time_ymd(2020, 1, 1), date_time_ymd(2090, 12, 31)),
    };
    let usage = ExtendedKeyUsagePurpose::ServerAuth;
    params.extended_key_usages =
        vec![if fault == Fault::ForClients { ExtendedKeyUsagePurpose::ClientAuth } else { usage }];
    let key = KeyPair::generate().unwrap();
    let certificate = match fault {
        Fault::SelfSigned => params.self_signed(&key).unwrap(),
        Fault::OtherAuthority => params.signed_by(&key, &Authority::new("stranger").issuer).unwrap(),
        _ => params.signed_by(&key, &authority.issuer).unwrap(),
    };
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
            tokio::spawn(async move {
                if fault == Fault::NotTls {
                    let mut plain = TcpStream::connect(target).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
                    return;
                }
                let Ok(mut inside) = acceptor.accept(stream).await else { return };
                let mut plain = TcpStream::connect(target).await.unwrap();
                // A broken connection has no count; then nothing matters any more.
                if let Ok((up, _)) = tokio::io::copy_bidirectional(&mut inside, &mut plain).await {
                    count.fetch_add(up, Ordering::Relaxed);
                }
            });
        }
    });
    (address, heard)
}

/// The configuration with the addresses of `from` instead of the stand-in's own.
fn configured(bench: &Bench, from: SocketAddr) {
    let text = fs::read_to_string(bench.config()).unwrap();
    let text = text.replace(&bench.emulator.url(), &format!("https://{from}"));
    // The catalogue names its own address.
    let download = format!("[cache_a]\ndownload_url = \"https://{from}/stac/download\"\n");
    fs::write(bench.config(), text.replace("[cache_a]\n", &download)).unwrap();
}

fn login(bench: &Bench, authority: &Authority) -> Output {
    let trusted = bench.home.path().join("authority.pem");
    fs::write(&trusted, &authority.pem).unwrap();
    fs::write(bench.home.path().join("password"), PASSWORD).unwrap();
    let mut command = bench.command();
    command.env("SSL_CERT_FILE", trusted).args(["login", "--user", USER, "--password-stdin", "--config"]);
    command.arg(bench.config()).stdin(fs::File::open(bench.home.path().join("password")).unwrap());
    output_of(command.spawn().unwrap())
}

/// 10.10: a login and a read over a certificate that is not good send nothing; with a good one both work.
#[test]
fn mount_only_good_certificates_are_spoken_to() {
    let authority = Authority::new("authority of this test");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for fault in [
        Fault::None,
        Fault::Expired,
        Fault::NotYet,
        Fault::OtherHost,
        Fault::OtherAuthority,
        Fault::SelfSigned,
        Fault::ForClients,
        Fault::NotTls,
    ] {
        let bench = Setup::default().logged_out();
        // The stand-in's login page names its own address otherwise.
        bench.emulator.change(|behaviour| behaviour.login.page = LoginPage::RelativeAction);
        assert!(bench.login(USER, PASSWORD).status.success(), "a login to have tokens at all");
        let kept = fs::read(bench.home.path().join("credentials.toml")).unwrap();
        let target = bench.emulator.url().trim_start_matches("http://").parse().unwrap();
        let (address, heard) = runtime.block_on(relay(fault, &authority, target));
        configured(&bench, address);
        bench.emulator.journal().reset();
        let output = login(&bench, &authority);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let trusted = bench.home.path().join("authority.pem");
        let mount = bench.mount_with("mnt", &[("SSL_CERT_FILE", trusted.to_str().unwrap())]);
        let folder = mount.path.join("cache-a/SENTINEL-2/by-id").join(format!("{PRODUCT}.SAFE"));
        let chunk = mount.path.join("cache-b/d1-climate-dt/demo-climate-sfc-v0.zarr/.zmetadata");
        let (product, metadata) = (read(folder.join("MTD_MSIL2A.xml")), read(chunk));
        if fault == Fault::None {
            assert!(output.status.success(), "{said}");
            assert!(product.is_ok() && metadata.is_ok(), "{product:?} {}\n{}", metadata.is_ok(), mount.log());
        } else {
            assert!(!output.status.success() && said.contains("TLS"), "{fault:?}: {said}");
            assert_eq!(
                (errno(product), errno(metadata)),
                (libc::EPROTO, libc::EPROTO),
                "{fault:?}\n{}",
                mount.log()
            );
            assert_eq!(heard.load(Ordering::Relaxed), 0, "{fault:?}: bytes were sent");
            assert!(bench.emulator.journal().snapshot().entries.is_empty(), "{fault:?}");
            assert_eq!(
                fs::read(bench.home.path().join("credentials.toml")).unwrap(),
                kept,
                "the old login stays"
            );
        }
        mount.end();
    }
}
