//! `dcmsfs logout`

use crate::cli::LogoutArgs;
use crate::credentials::forget_login;
use crate::error::Result;
use crate::run::{key, login, places, tree};
use crate::settings::{address, layers};
use crate::sys::harden;

/// Forgets what was kept, and tells the provider.
pub(super) fn run(args: &LogoutArgs) -> Result<()> {
    if let Some(root) = &args.root {
        return key::forget(args, root);
    }
    harden::process();
    let settings = layers::load(&places::sources(&args.configuration))?;
    let credentials = tree::credential_settings(&settings)?;
    let file = login::kept_in(&credentials)?;
    let host = if settings.cache_b.url.is_empty() {
        String::new()
    } else {
        login::host_in_netrc(&address("cache_b.url", &settings.cache_b.url)?).to_owned()
    };
    let Some(forgotten) = super::runtime(1)?.block_on(forget_login(&credentials, &host))? else {
        println!("there was no login");
        return Ok(());
    };
    let kept = if file.exists() { "it keeps the keys of other hosts" } else { "it is gone" };
    println!("logged out; {}: {kept}", file.display());
    match forgotten.netrc {
        Ok(true) => println!("the entry of {host} with the same token is gone from your netrc file"),
        Ok(false) => {}
        Err(error) => eprintln!("dcmsfs: its token may still stand in your netrc file: {error}"),
    }
    match forgotten.revoked {
        Ok(true) => println!("the tokens were revoked at {}", credentials.identity.url),
        Ok(false) => println!("the provider offers no revocation: the tokens end by themselves"),
        Err(error) => eprintln!("dcmsfs: the tokens were not revoked and end by themselves: {error}"),
    }
    Ok(())
}
