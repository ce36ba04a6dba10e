//! Server text inside messages: short, and without anything that a terminal would obey.

/// Characters of server text that a message repeats.
const SHOWN: usize = 80;

/// The beginning of `text`, control and bidi characters escaped.
pub(super) fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn harmless() {
        assert_eq!(quote("a\u{1b}[2J\n\u{202e}"), r"a\u{1b}[2J\n\u{202e}");
        assert_eq!(quote(&"é".repeat(90)).chars().count(), 81);
    }
}
