//! `dcmsfs demo`: the whole thing against a built-in stand-in of the services. No account, no network, and
//! nothing of the user's own files is touched.

use std::path::{Path, PathBuf};

use dcms_emulator::accounts::{PASSWORD, USER};
use dcms_emulator::{DataSet, Emulator, Options};
use secrecy::SecretString;

use crate::cli::DemoArgs;
use crate::credentials::save_login;
use crate::error::{Error, ErrorKind, Result};
use crate::run::mount::{Ready, mount_and_serve};
use crate::run::{logging, login, mountpoint, tree};
use crate::settings::Settings;
use crate::sys::harden;

/// Runs the stand-in and the mount in the foreground until Ctrl-C.
pub(super) fn run(args: &DemoArgs) -> Result<()> {
    let home = tempdir()?;
    let point = match &args.mountpoint {
        Some(point) => mountpoint::prepare(point, false)?,
        None => {
            let point = home.0.join("destine");
            std::fs::create_dir(&point).map_err(|error| no_place(&error))?;
            point
        }
    };
    logging::begin(None, "warn")?;
    harden::process();
    let runtime = super::runtime(2)?;
    let result = runtime.block_on(show(&home.0, &point));
    runtime.shutdown_background();
    drop(home);
    result
}

async fn show(home: &Path, point: &Path) -> Result<()> {
    let options = Options { data: DataSet::Demo, ..Options::default() };
    let emulator = Emulator::start(options)
        .await
        .map_err(|error| Error::new(ErrorKind::Internal, format!("cannot start the stand-in: {error}")))?;
    let settings = settings(&emulator, home);
    // The same login that a person makes, against the stand-in's login page.
    let credentials = tree::credential_settings(&settings)?;
    let (login, _) = login::log_in(&credentials, USER, &SecretString::from(PASSWORD.to_owned())).await?;
    save_login(&home.join("credentials.toml"), &login).await?;
    let text = what_to_try(point);
    // No account that was given for the service: the stand-in is not to see it.
    mount_and_serve(settings, None, point, None, true, Ready::Say(Box::new(move || println!("{text}")))).await
}

fn settings(emulator: &Emulator, home: &Path) -> Settings {
    let mut settings = Settings::default();
    settings.cache_a.url = emulator.stac_url();
    settings.cache_b.url = emulator.cache_b_url();
    settings.cache_b.stores = emulator.stores();
    settings.identity.url = emulator.identity_url();
    settings.credentials.file = home.join("credentials.toml").display().to_string();
    settings.credentials.netrc = String::new();
    settings.cache.dir = home.join("cache").display().to_string();
    settings
}

fn what_to_try(point: &Path) -> String {
    let point = point.display();
    format!(
        "The demo is mounted at {point}. In another terminal:\n\n  \
         cat {point}/README.txt\n  \
         ls {point}/cache-a/SENTINEL-2/by-date/2024/09/24\n  \
         find {point}/cache-a/SENTINEL-2/by-date/2024/09/24 -name '*_60m.jp2'\n  \
         cp -r {point}/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE /tmp\n  \
         gdalinfo {point}/cache-a/SENTINEL-2/by-date/2024/09/24/T32TQM/*.SAFE/MTD_MSIL2A.xml\n  \
         python3 -c 'import xarray; print(xarray.open_zarr(\"{point}/cache-b/{STORE}\").t2m.mean(\"time\"))'\n  \
         dcmsfs status\n\nCtrl-C here ends it."
    )
}

/// A store of the stand-in that shows well.
const STORE: &str = "d1-climate-dt/demo-climate-sfc-v0.zarr";

/// A directory of this run alone, removed at the end.
struct Home(PathBuf);

impl Drop for Home {
    fn drop(&mut self) {
        // Not the mount point below it: if the mount is still there, its directory stays.
        let _ = std::fs::remove_file(self.0.join("credentials.toml"));
        let _ = std::fs::remove_file(self.0.join("credentials.toml.lock"));
        let _ = std::fs::remove_dir(self.0.join("destine"));
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn tempdir() -> Result<Home> {
    nix::unistd::mkdtemp(&std::env::temp_dir().join("dcmsfs-demo-XXXXXX"))
        .map(Home)
        .map_err(|errno| no_place(&errno.into()))
}

fn no_place(error: &std::io::Error) -> Error {
    Error::new(ErrorKind::Configuration, format!("no place for the demo's files: {error}"))
}
