//! Cache-A by object key, out of `[cache_a.s3]`.

use crate::backend::s3::Objects;
use crate::credentials::{S3File, usual_s3_file};
use crate::error::Result;
use crate::run::places;
use crate::settings::{S3, address, expand};

/// Where the objects are, and the keys to them.
pub(super) struct S3Plan {
    pub(super) objects: Objects,
    pub(super) keys: S3File,
    pub(super) requests: usize,
}

impl S3Plan {
    /// # Errors
    /// `Configuration`, naming the setting.
    pub(super) fn of(s3: &S3) -> Result<Self> {
        let home = places::home();
        let path = match s3.credentials_file.as_str() {
            "" => usual_s3_file(&home),
            path => expand(path, &home),
        };
        let endpoint = address("cache_a.s3.endpoint", &s3.endpoint)?;
        Ok(Self {
            objects: Objects::new(&endpoint, &s3.bucket, &s3.prefix)?,
            keys: S3File { path, profile: s3.profile.clone(), region: s3.region.clone() },
            requests: s3.requests,
        })
    }
}
