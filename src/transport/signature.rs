//! Requests to S3: each is signed (AWS Signature Version 4), so that the secret key itself never travels.
//!
//! The signing is `object_store`'s; what is signed is the request as this room is about to send it, one hop at a time.

use std::fmt;

use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpRequest, HttpRequestBody};
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use zeroize::Zeroize;

use crate::error::{Error, ErrorKind, Result};

/// A pair of S3 keys, and where it is valid.
#[derive(Clone)]
pub struct S3Keys {
    /// The name of the secret key; the service calls it the access key.
    pub access_key: SecretString,
    /// What requests are signed with.
    pub secret_key: SecretString,
    /// Goes with keys that were lent for a time.
    pub session_token: Option<SecretString>,
    /// The region that signatures name.
    pub region: String,
}

impl S3Keys {
    /// The headers that sign a request without a body.
    ///
    /// # Errors
    /// `Configuration` when the keys or the region cannot stand in a header.
    pub(super) fn headers(&self, method: &Method, url: &Url) -> Result<HeaderMap> {
        let text = |secret: &SecretString| secret.expose_secret().to_owned();
        // The signer takes it for granted that these are header values.
        let plain = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = self.session_token.as_ref().is_none_or(|token| plain(token.expose_secret()));
        if !(plain(self.access_key.expose_secret()) && plain(&self.region) && token) {
            return Err(unusable());
        }
        let mut credential = AwsCredential {
            key_id: text(&self.access_key),
            secret_key: text(&self.secret_key),
            token: self.session_token.as_ref().map(text),
        };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method.clone();
        let signed = url.as_str().parse().map_err(|_| unusable()).and_then(|uri| {
            *request.uri_mut() = uri;
            let signer = AwsAuthorizer::new(&credential, "s3", &self.region);
            signer.try_authorize(&mut request, None).map_err(|_| unusable())
        });
        credential.secret_key.zeroize();
        credential.token.zeroize();
        signed?;
        let mut headers = std::mem::take(request.headers_mut());
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        Ok(headers)
    }
}

fn unusable() -> Error {
    let message = "the S3 keys or the region hold characters that no request can be signed with";
    Error::new(ErrorKind::Configuration, message)
}

impl fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 keys for {} [REDACTED]", self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(access: &str, token: Option<&str>) -> S3Keys {
        S3Keys {
            access_key: access.into(),
            secret_key: "canary-secret".into(),
            session_token: token.map(Into::into),
            region: "eu-1".into(),
        }
    }

    #[test]
    fn a_request_is_signed_and_nothing_shows_the_secret() {
        let url = Url::parse("https://s3.example:8443/b/a%20b%2Bc.jp2").unwrap();
        let headers = keys("AKID", Some("lent")).headers(&Method::GET, &url).unwrap();
        let authorization = headers["authorization"].to_str().unwrap();
        assert!(authorization.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"), "{authorization}");
        assert!(authorization.contains("/eu-1/s3/aws4_request") && authorization.contains("host;"));
        assert_eq!(headers["x-amz-security-token"], "lent");
        assert!(headers.contains_key("x-amz-date") && headers.contains_key("x-amz-content-sha256"));
        let shown = format!("{headers:?} {:?}", keys("AKID", Some("lent")));
        assert!(!shown.contains("AKID") && !shown.contains("lent") && !shown.contains("canary"), "{shown}");
    }

    #[test]
    fn keys_that_are_no_header_values_are_refused() {
        let url = Url::parse("https://s3.example/b/k").unwrap();
        for wrong in [keys("", None), keys("A\nB", None), keys("AKID", Some("a b"))] {
            let error = wrong.headers(&Method::GET, &url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
    }
}
