//! The login in a browser, with the address pasted.

use super::*;
use crate::credentials::browser::visit;

async fn paste(server: &Server, pasted: impl Fn(&str) -> String) -> Result<TokenSet> {
    let identity = identity(server);
    let session = login::session(&identity)?;
    let visit = visit(&identity, &identity.cache_b)?;
    let state = visit.url.query_pairs().find(|(key, _)| key == "state").unwrap().1.into_owned();
    visit.end(&session, &identity, &identity.cache_b, &pasted(&state)).await
}

#[tokio::test]
async fn the_address_or_the_code_is_enough() {
    let server = provider(FORM, success).await;
    let identity = identity(&server);
    let url = visit(&identity, &identity.cache_b).unwrap().url;
    assert!(url.as_str().starts_with(server.url(AUTH).as_str()));
    let sent: Vec<_> = url.query_pairs().map(|(key, _)| key.into_owned()).collect();
    assert_eq!(sent, ["client_id", "redirect_uri", "scope", "response_type", "state"]);
    let tokens = paste(&server, |state| {
        format!("  https://cacheb.dcms.destine.eu/?session_state=s&state={state}&code=the-code\n")
    });
    assert_eq!(tokens.await.unwrap().access.expose_secret(), "access-1");
    assert!(paste(&server, |_| "the-code".into()).await.is_ok());
    let token = &posts(&server, TOKEN)[0];
    assert_eq!(
        (token.field("code").unwrap(), token.field("client_id").unwrap()),
        ("the-code".into(), "edh-public".into())
    );
    assert_eq!(server.heard().len(), 2, "no page is fetched");
}

#[tokio::test]
async fn what_else_is_pasted_is_refused() {
    let server = provider(FORM, success).await;
    let page = server.url("/realms/desp/login-actions/authenticate?x=1").to_string();
    let cases: [(String, ErrorKind); 7] = [
        (String::new(), ErrorKind::InvalidInput),
        ("two words".into(), ErrorKind::InvalidInput),
        (page, ErrorKind::InvalidInput),
        ("https://cacheb.dcms.destine.eu/?code=c&state=other".into(), ErrorKind::Protocol),
        ("https://cacheb.dcms.destine.eu/".into(), ErrorKind::Protocol),
        ("https://evil.example/?code=c".into(), ErrorKind::Protocol),
        ("https://cacheb.dcms.destine.eu/?error=access_denied".into(), ErrorKind::LoginRejected),
    ];
    for (pasted, kind) in cases {
        let error = paste(&server, |_| pasted.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{pasted}: {error}");
    }
    assert!(server.heard().is_empty());
}
