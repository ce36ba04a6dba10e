//! The HTML that a person would see.

/// The login form.
pub(crate) fn login(action: &str, error: Option<&str>) -> String {
    page(
        "Sign in to DestinE",
        &format!(
            r#"<form id="kc-form-login" onsubmit="login.disabled = true; return true;" action="{}" method="post">
  <div class="form-group">
    <label for="username">Username or email</label>
    <input tabindex="1" id="username" class="form-control" name="username" value="" type="text" autofocus autocomplete="off" aria-invalid="">
    {}
  </div>
  <div class="form-group">
    <label for="password">Password</label>
    <input tabindex="2" id="password" class="form-control" name="password" type="password" autocomplete="off">
  </div>
  <input type="hidden" id="id-hidden-input" name="credentialId">
  <input tabindex="4" name="login" id="kc-login" type="submit" value="Sign In">
</form>"#,
            escape(action),
            problem(error)
        ),
    )
}

/// The form for the one-time code.
pub(crate) fn otp(action: &str, error: Option<&str>) -> String {
    page(
        "Sign in to DestinE",
        &format!(
            r#"<form id="kc-otp-login-form" onsubmit="login.disabled = true; return true;" action="{}" method="post">
  <div class="form-group">
    <label for="otp">One-time code</label>
    <input id="otp" name="otp" autocomplete="off" type="text" class="form-control" autofocus aria-invalid="">
    {}
  </div>
  <input name="login" id="kc-login" type="submit" value="Sign In">
</form>"#,
            escape(action),
            problem(error)
        ),
    )
}

/// A page that says why there is no login.
pub(crate) fn error(text: &str) -> String {
    page(
        "We are sorry...",
        &format!(r#"<div id="kc-error-message"><p class="instruction">{}</p></div>"#, escape(text)),
    )
}

/// A page that no client knows.
pub(crate) fn unexpected() -> String {
    page("Something new", "<p>Please visit our new portal to continue.</p>")
}

fn problem(error: Option<&str>) -> String {
    error
        .map(|text| {
            format!(
                r#"<span id="input-error" class="kc-feedback-text" aria-live="polite">
            {}
    </span>"#,
                escape(text)
            )
        })
        .unwrap_or_default()
}

fn page(title: &str, content: &str) -> String {
    format!(
        r#"<!DOCTYPE html>
<html class="login-pf" lang="en">
<head>
  <meta charset="utf-8">
  <meta name="robots" content="noindex, nofollow">
  <title>{title}</title>
  <link href="/resources/css/login.css" rel="stylesheet">
  <script>var notAForm = "<form action='/nowhere'>";</script>
</head>
<body>
<!-- <form id="kc-form-login" action="/commented-out"> -->
<div id="kc-content">
{content}
</div>
</body>
</html>
"#
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}
