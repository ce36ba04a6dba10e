//! What a login page asks for: its forms, their inputs, and the reason it gives for coming again.
//!
//! Pure: bytes in, a description out. The page is not trusted; whether a form may be answered is decided
//! where it is sent.

use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use url::Url;

use super::token::printable;

/// An `input` element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) value: String,
    kind: String,
    id: String,
    placeholder: String,
    checked: bool,
}

impl Input {
    /// Whether it is sent back as it came: hidden ones, and a choice that is made already (Keycloak's list
    /// of one-time-code devices).
    fn is_given(&self) -> bool {
        let kept =
            self.kind == "hidden" || (matches!(self.kind.as_str(), "radio" | "checkbox") && self.checked);
        kept && !self.name.is_empty()
    }

    fn is_typed(&self) -> bool {
        matches!(self.kind.as_str(), "" | "text" | "email" | "tel" | "number" | "password" | "otp")
    }

    /// Whether it is for a one-time code, by the words of the official client (protocol.md 2.3).
    fn wants_code(&self) -> bool {
        let texts = [&self.name, &self.id, &self.placeholder, &self.kind];
        let words = ["otp", "one-time password", "verification code"];
        let mentions = |text: &&String| words.iter().any(|word| text.to_ascii_lowercase().contains(word));
        self.is_typed() && texts.iter().any(mentions)
    }
}

/// A `form` element with its inputs.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Where it is sent, against the page's own address. `None` if it cannot be read.
    pub(super) action: Option<Url>,
    /// Whether it is sent by POST; a GET form would put the password into an address.
    pub(super) is_post: bool,
    id: String,
    inputs: Vec<Input>,
}

impl Form {
    /// The fields that are sent back as they came.
    pub(super) fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.inputs.iter().filter(|input| input.is_given()).map(|input| (&*input.name, &*input.value))
    }

    /// Name of the field for the one-time code, if that is what the form is about.
    pub(super) fn code_field(&self) -> Option<&str> {
        let input = self.inputs.iter().find(|input| input.wants_code())?;
        Some(if input.name.is_empty() { "otp" } else { &input.name })
    }

    /// Name of the field for the password.
    pub(super) fn password_field(&self) -> Option<&str> {
        let input = self.inputs.iter().find(|input| input.kind == "password" && !input.wants_code())?;
        Some(if input.name.is_empty() { "password" } else { &input.name })
    }

    /// Name of the field for the user's name.
    pub(super) fn user_field(&self) -> Option<&str> {
        let typed = || {
            self.inputs
                .iter()
                .filter(|input| input.is_typed() && input.kind != "password" && !input.wants_code())
        };
        let named = typed().find(|input| input.name == "username").or_else(|| typed().next());
        named.map(|input| input.name.as_str()).filter(|name| !name.is_empty())
    }
}

/// What matters of a page.
#[derive(Clone, Debug, Default)]
pub(super) struct Page {
    /// The login form by its id (EODAG's way), else the first form (the scripts' way).
    pub(super) form: Option<Form>,
    /// Text of the element that tells why the page came again (`input-error`, protocol.md 2.2).
    pub(super) reason: Option<String>,
}

/// Reads the page that came from `base`.
pub(super) fn read(html: &[u8], base: &Url) -> Page {
    let mut emitter = DefaultEmitter::default();
    // Without it, a form within a script would count.
    emitter.naively_switch_states(true);
    let mut forms: Vec<Form> = Vec::new();
    let mut inside_form = false;
    let mut reason = Reason::default();
    for Ok(token) in Tokenizer::new_with_emitter(html, emitter) {
        match token {
            Token::StartTag(tag) => {
                match tag.name.as_slice() {
                    b"form" if !inside_form => {
                        inside_form = true;
                        forms.push(form(&tag, base));
                    }
                    b"input" if inside_form => {
                        forms.last_mut().into_iter().for_each(|form| form.inputs.push(input(&tag)))
                    }
                    _ => {}
                }
                reason.start(&tag);
            }
            Token::EndTag(tag) => {
                inside_form &= tag.name.as_slice() != b"form";
                reason.end(&tag.name);
            }
            Token::String(text) => reason.text(&text),
            _ => {}
        }
    }
    let login = forms.iter().position(|form| form.id == "kc-form-login").unwrap_or(0);
    let form = if forms.is_empty() { None } else { Some(forms.swap_remove(login)) };
    Page { form, reason: reason.found() }
}

fn attribute(tag: &StartTag<()>, name: &str) -> String {
    let value = tag.attributes.get(name.as_bytes());
    value.map(|value| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

fn form(tag: &StartTag<()>, base: &Url) -> Form {
    Form {
        // The tokenizer has resolved `&amp;` and the like.
        action: base.join(attribute(tag, "action").trim()).ok(),
        is_post: attribute(tag, "method").eq_ignore_ascii_case("post"),
        id: attribute(tag, "id"),
        inputs: Vec::new(),
    }
}

fn input(tag: &StartTag<()>) -> Input {
    Input {
        name: attribute(tag, "name"),
        value: attribute(tag, "value"),
        kind: attribute(tag, "type").to_ascii_lowercase(),
        id: attribute(tag, "id"),
        placeholder: attribute(tag, "placeholder"),
        checked: tag.attributes.contains_key(&b"checked"[..]),
    }
}

/// Collects the text of the first element that gives a reason.
#[derive(Default)]
struct Reason {
    /// Name of that element and how deep we are in elements of this name; 0 behind it.
    element: Vec<u8>,
    depth: usize,
    text: String,
}

impl Reason {
    fn start(&mut self, tag: &StartTag<()>) {
        if self.depth > 0 {
            self.depth += usize::from(*tag.name == self.element && !tag.self_closing);
            return;
        }
        // Keycloak: `input-error`, in newer themes with the field's name behind; alerts by class; error pages.
        let id = attribute(tag, "id");
        let alert = attribute(tag, "class").contains("kc-feedback-text");
        let gives = alert || id.starts_with("input-error") || id == "kc-error-message";
        if self.text.is_empty() && gives {
            (self.element, self.depth) = (tag.name.to_vec(), 1);
        }
    }

    fn end(&mut self, name: &[u8]) {
        if self.depth > 0 && *name == self.element {
            self.depth -= 1;
        }
    }

    fn text(&mut self, text: &[u8]) {
        if self.depth > 0 && self.text.len() < 4096 {
            self.text.push_str(&String::from_utf8_lossy(text));
        }
    }

    fn found(self) -> Option<String> {
        Some(printable(&self.text)).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(html: &str) -> Page {
        read(html.as_bytes(), &Url::parse("https://auth.example/realms/desp/auth?x=1").unwrap())
    }

    #[test]
    fn the_login_form_of_keycloak() {
        let page = page(
            r#"<html><!-- <form action="/comment"> --><script>"<form action='/script'>"</script>
            <form id="search" action="/search"><input name="q"></form>
            <form id="kc-form-login" onsubmit="x" action="https://auth.example/login?session_code=a&amp;tab_id=b&#38;c=d" method="POST">
            <input tabindex="1" id="username" name="username" value="" type="text" autofocus>
            <input id="password" name="password" type="password">
            <input type="hidden" name="credentialId" value="&quot;x&quot;"/>
            <input type="checkbox" name="rememberMe"> <input type="submit" name="login" value="Sign In"></form>
            <form action="/other"><input name="after"></form>"#,
        );
        let form = page.form.unwrap();
        assert_eq!(
            form.action.as_ref().unwrap().as_str(),
            "https://auth.example/login?session_code=a&tab_id=b&c=d"
        );
        assert_eq!(
            (form.user_field(), form.password_field(), form.code_field()),
            (Some("username"), Some("password"), None)
        );
        assert_eq!(form.given().collect::<Vec<_>>(), [("credentialId", "\"x\"")]);
        assert!(form.is_post && page.reason.is_none());
    }

    #[test]
    fn the_first_form_counts_without_that_id() {
        let form =
            page("<form action=/first method=post><input name=u></form><form action=/second>").form.unwrap();
        assert_eq!(form.action.unwrap().path(), "/first");
        assert!(page("<p>no form").form.is_none());
        let form = page("<form>").form.unwrap();
        assert_eq!(form.action.unwrap().query(), Some("x=1"), "no action means the page itself");
    }

    #[test]
    fn the_reason_is_shown_as_plain_text() {
        let page = page(
            "<form></form><span id=\"input-error\" class=\"x\">\n  Invalid <b>username</b> or\u{1b}[31m <span>password</span>.\n</span> later",
        );
        assert_eq!(page.reason.unwrap(), "Invalid username or [31m password.");
    }

    #[test]
    fn one_time_code_pages_are_recognised() {
        for input in [
            "<input name='otp' type='text'>",
            "<input id='OTP-code' name='code'>",
            "<input name='c' placeholder='Enter the Verification Code'>",
            "<input name='c' type='password' placeholder='One-Time Password'>",
        ] {
            let form =
                page(&format!("<form method=post>{input}<input type=radio checked name=d value=1></form>"))
                    .form
                    .unwrap();
            assert!(form.code_field().is_some() && form.password_field().is_none(), "{input}");
            assert_eq!(form.given().collect::<Vec<_>>(), [("d", "1")]);
        }
        let form =
            page("<form><input type=hidden name=otpDevice><input type=password name=p></form>").form.unwrap();
        assert!(form.code_field().is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(html in prop::collection::vec(any::<u8>(), 0..300)) {
            read(&html, &Url::parse("https://auth.example/").unwrap());
        }
    }
}
