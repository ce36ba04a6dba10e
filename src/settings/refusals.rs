//! What a person can do when a host refuses data.

use super::Credential;

impl Credential {
    /// Where an account gets the right to data that a host refuses it (protocol.md 4.5, 5).
    pub fn way_out(self) -> &'static str {
        match self {
            Self::OfflineToken | Self::ApiKey => {
                "Climate DT data need the upgraded access: ask for it at https://platform.destine.eu/access-policy-upgrade"
            }
            Self::Bearer => {
                "the Data Lake wants the role DPAD_Direct_Access: ask for it at \
             https://platform.destine.eu/access-policy-upgrade"
            }
            Self::None => "this root has no login (credential = \"none\"), and the host wants one",
        }
    }
}
