//! `dcmsfs login --root` and `dcmsfs logout --root`: keys of Zarr hosts that are no DestinE login.

use crate::cli::{LoginArgs, LogoutArgs};
use crate::credentials::{forget_key, save_key};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::run::{login, places, tree};
use crate::settings::{Credential, Settings, ZarrRoot, layers};
use crate::sys::harden;

/// Keeps a key for the root that was named.
pub(super) fn keep(args: &LoginArgs, name: &str) -> Result<()> {
    harden::process();
    let settings = layers::load(&places::sources(&args.configuration))?;
    let root = root(&settings, name)?;
    let file = login::kept_in(&tree::credential_settings(&settings)?)?;
    let prompt = format!("Key for {name} ({}): ", root.url);
    let key = login::secret(args, &prompt, "give --password-stdin")?;
    super::runtime(1)?.block_on(save_key(
        &file,
        &tree::base("cache_b.root.url", &root.url)?,
        args.user.as_deref(),
        key,
    ))?;
    println!("the key of {name} is kept in {}; it is sent to {} only", file.display(), root.url);
    Ok(())
}

/// Forgets the key of the root that was named.
pub(super) fn forget(args: &LogoutArgs, name: &str) -> Result<()> {
    harden::process();
    let settings = layers::load(&places::sources(&args.configuration))?;
    let root = root(&settings, name)?;
    let file = login::kept_in(&tree::credential_settings(&settings)?)?;
    let url = tree::base("cache_b.root.url", &root.url)?;
    let found = super::runtime(1)?.block_on(forget_key(&file, &url))?;
    println!(
        "{}",
        if found { format!("the key of {name} is gone") } else { format!("there was no key of {name}") }
    );
    Ok(())
}

fn root<'a>(settings: &'a Settings, name: &str) -> Result<&'a ZarrRoot> {
    let roots = &settings.cache_b.root;
    let Some(root) = roots.iter().find(|root| root.name == name) else {
        let names: Vec<&str> = roots.iter().map(|root| root.name.as_str()).collect();
        let known = match names.as_slice() {
            [] => "the configuration has no [[cache_b.root]]".to_owned(),
            names => format!("the configuration has {}", names.join(", ")),
        };
        return fail(ErrorKind::Configuration, format!("there is no root called {name:?}: {known}"));
    };
    match root.credential {
        Credential::ApiKey | Credential::Bearer => Ok(root),
        Credential::OfflineToken => Err(Error::new(
            ErrorKind::Configuration,
            format!("{name} takes the DestinE login: run `dcmsfs login` without --root"),
        )),
        Credential::None => {
            fail(ErrorKind::Configuration, format!("{name} takes no login (credential = \"none\")"))
        }
    }
}
