//! `README.txt` at the root of a mount: what is where, how the account stands, what to try.

use crate::run::status_report::{Report, State};

/// The text, as of now.
pub(super) fn text(report: &Report) -> String {
    let status = report.status();
    let point = status.mountpoint.display();
    let mut text = String::from(
        "This is the DestinE Data Cache, mounted by dcmsfs. Everything here is read-only; files are\n\
         fetched when they are read.\n\nWhat is where\n",
    );
    for service in &status.services {
        text += &format!("  {:<14} {}\n", format!("{}/", service.name), service.url);
    }
    text += "  .dcmsfs/       what the mount says of itself: status.json, errors\n\nThe account\n";
    for account in &status.accounts {
        let state = match account.state {
            State::LoggedIn => "logged in".to_owned(),
            State::Expired => "the login has expired: run `dcmsfs login`".to_owned(),
            State::Missing => "not logged in: run `dcmsfs login` to read files".to_owned(),
            State::NotNeeded => "needs no login".to_owned(),
        };
        let user = account.user.as_ref().map_or(String::new(), |user| format!(" as {user}"));
        text += &format!("  {:<14} {state}{user}\n", account.name);
    }
    text += &format!(
        "\nTo try\n  \
         ls {point}/cache-a/SENTINEL-2/by-date/2024/09/24\n  \
         cp -r {point}/cache-a/SENTINEL-2/by-id/PRODUCT.SAFE .\n  \
         gdalinfo {point}/cache-a/SENTINEL-2/by-date/2024/09/24/TILE/PRODUCT.SAFE/MTD_MSIL2A.xml\n  \
         python3 -c 'import xarray; print(xarray.open_zarr(\"{point}/cache-b/COLLECTION/STORE.zarr\"))'\n  \
         dcmsfs status\n\n\
         Any product can be opened by its identifier under by-id/, any Zarr store by its name under cache-b/,\n\
         even if it is not listed.\n"
    );
    text
}
