//! Comments between two tokens: the text of a gap goes in, comments come out, with what is known of the line breaks
//! around them.
//!
//! A gap holds blanks and comments only, because the text has been parsed. Documentation is no comment here: the grammar
//! knows it as tokens.

/// One comment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comment {
    /// All of it, without blanks at its end.
    pub(super) text: String,
    /// Whether a line ends after it.
    pub(super) ends_line: bool,
    /// Whether a blank line stands before it.
    pub(super) blank_before: bool,
}

/// What stands between two tokens.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Gap {
    pub(super) comments: Vec<Comment>,
    /// Whether a blank line stands before the second token.
    pub(super) blank: bool,
}

impl Gap {
    /// Reads all of a gap.
    pub(super) fn read(text: &str) -> Gap {
        let mut gap = Gap::default();
        let mut rest = text.trim_start_matches('\u{feff}');
        loop {
            let (breaks, after) = blanks(rest);
            let Some(length) = comment(after) else {
                gap.blank = breaks > 1;
                return gap;
            };
            // What a line comment follows cannot be followed by more.
            if after.starts_with("//")
                && breaks == 0
                && let Some(last) = gap.comments.last_mut()
            {
                last.ends_line = true;
            }
            let (written, after) = after.split_at(length);
            let ends_line = written.starts_with("//") || blanks(after).0 > 0;
            let text = written.trim_end().replace("\r\n", "\n");
            gap.comments.push(Comment { text, ends_line, blank_before: breaks > 1 });
            rest = after;
        }
    }

    /// The comments that are the last on the line on which the text begins, and the length of what they stand in.
    pub(super) fn trailing(text: &str) -> (Vec<Comment>, usize) {
        let mut comments = Vec::new();
        let mut rest = text;
        loop {
            let (breaks, after) = blanks(rest);
            let Some(length) = comment(after).filter(|_| breaks == 0) else { break };
            let (written, after) = after.split_at(length);
            let text = written.trim_end().replace("\r\n", "\n");
            comments.push(Comment { text, ends_line: true, blank_before: false });
            rest = after;
            if written.starts_with("//") {
                break;
            }
        }
        let (breaks, after) = blanks(rest);
        let ends_line =
            breaks > 0 || after.is_empty() || comments.last().is_some_and(|last| last.text.starts_with("//"));
        if ends_line { (comments, text.len() - rest.len()) } else { (Vec::new(), 0) }
    }
}

/// The number of line breaks before what is not blank, and the text from there on.
fn blanks(text: &str) -> (usize, &str) {
    let after = text.trim_start_matches([' ', '\t', '\r', '\n']);
    let blank = &text[..text.len() - after.len()];
    (blank.matches('\n').count(), after)
}

/// The length of the comment that the text begins with.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("//") {
        let is_doc = text.starts_with("//!") || (text.starts_with("///") && !text.starts_with("////"));
        return (!is_doc).then(|| text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut open = 0usize;
    let mut at = 0;
    while let Some(step) = text.get(at..).and_then(|rest| rest.find(['/', '*']).map(|step| at + step)) {
        let rest = &text[step..];
        at = step + 1;
        if rest.starts_with("/*") {
            open += 1;
            at = step + 2;
        } else if rest.starts_with("*/") {
            open = open.saturating_sub(1);
            at = step + 2;
            if open == 0 {
                return Some(at);
            }
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(comments: &[Comment]) -> Vec<&str> {
        comments.iter().map(|comment| comment.text.as_str()).collect()
    }

    #[test]
    fn gaps_are_read() {
        let gap = Gap::read(" // a  \n\n\n /* b /* c */\n */ //// d\r\n /* e */ /* f */\n\n");
        assert_eq!(texts(&gap.comments), ["// a", "/* b /* c */\n */", "//// d", "/* e */", "/* f */"]);
        let facts: Vec<_> = gap.comments.iter().map(|comment| (comment.ends_line, comment.blank_before)).collect();
        assert_eq!(facts, [(true, false), (true, true), (true, false), (false, false), (true, false)]);
        assert!(gap.blank);
        assert!(!Gap::read(" /**/\n").blank);
    }

    #[test]
    fn trailing_comments_end_their_line() {
        let trailing = |text| {
            let (comments, length) = Gap::trailing(text);
            (comments.into_iter().map(|comment| comment.text).collect::<Vec<_>>(), length)
        };
        assert_eq!(trailing("  // a\n // b\n"), (vec!["// a".to_owned()], 6));
        assert_eq!(trailing(" /* a */ // b\nx"), (vec!["/* a */".to_owned(), "// b".to_owned()], 13));
        assert_eq!(trailing(" /* a */ x"), (vec![], 0));
        assert_eq!(trailing(" /* a */"), (vec!["/* a */".to_owned()], 8));
        assert_eq!(trailing("\n// a"), (vec![], 0));
        assert_eq!(trailing(" /// doc\n"), (vec![], 0));
    }
}
