//! Patterns of parameter paths: `freeze features.*;`, `updates generator.*`.
//!
//! `*` stays within one segment, a trailing `.*` takes any depth, and a pattern that matches nothing is an error.

use dl_grammar::ast::PathPattern;
use dl_grammar::{Code, Diagnostic, closest};

/// Whether a path matches a pattern.
pub(super) fn matches(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('.');
    let mut rest = pattern.split('.').peekable();
    while let Some(expected) = rest.next() {
        let Some(found) = segments.next() else { return false };
        if expected == "*" && rest.peek().is_none() {
            return true;
        }
        if !segment_matches(expected, found) {
            return false;
        }
    }
    segments.next().is_none()
}

/// The places of the paths that match one of the patterns, in order, and what is wrong with the patterns.
pub(super) fn select(patterns: &[PathPattern], paths: &[&str]) -> (Vec<usize>, Vec<Diagnostic>) {
    let mut chosen = vec![false; paths.len()];
    let mut diagnostics = Vec::new();
    for pattern in patterns {
        let mut is_useful = false;
        for (path, chosen) in paths.iter().zip(&mut chosen) {
            if matches(&pattern.text, path) {
                is_useful = true;
                *chosen = true;
            }
        }
        if !is_useful {
            diagnostics.push(nothing(pattern, paths));
        }
    }
    ((0..paths.len()).filter(|&place| chosen[place]).collect(), diagnostics)
}

fn nothing(pattern: &PathPattern, paths: &[&str]) -> Diagnostic {
    const SHOWN: usize = 8;
    let text = pattern.text.as_str();
    let message = format!("no parameter has a path that matches `{text}`");
    let mut diagnostic = Diagnostic::new(Code::NoSuchPath, pattern.span, message).label("matches nothing");
    let mut shown: Vec<String> = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
    if paths.len() > SHOWN {
        shown.push("…".to_owned());
    }
    diagnostic = match shown.is_empty() {
        true => diagnostic.note("there are no parameters"),
        false => diagnostic.note(format!("the paths are {}", shown.join(", "))),
    };
    let deeper = format!("{text}.*");
    if paths.iter().any(|path| matches(&deeper, path)) {
        return diagnostic.help(format!("write `{deeper}` for all that is in it"));
    }
    // What a pattern may have meant: a whole path, or all that is in one of its beginnings.
    let mut candidates: Vec<String> = Vec::new();
    for path in paths {
        candidates.push((*path).to_owned());
        candidates.extend(path.match_indices('.').map(|(end, _)| format!("{}.*", &path[..end])));
    }
    candidates.dedup();
    if let Some(near) = closest(text, candidates.iter().map(String::as_str)) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    diagnostic
}

/// Whether a segment matches, `*` standing for any characters. Linear for one `*`, and short in any case.
fn segment_matches(pattern: &str, segment: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == segment };
    let Some(mut left) = segment.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        match left.find(part) {
            Some(start) => left = &left[start + part.len()..],
            None => return false,
        }
    }
    left.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stays_in_its_segment_and_a_last_one_takes_any_depth() {
        for (pattern, path) in [
            ("a.weight", "a.weight"),
            ("a.*", "a.weight"),
            ("a.*", "a.b.weight"),
            ("*", "a.b.weight"),
            ("*.weight", "a.weight"),
            ("a.conv2d_*.weight", "a.conv2d_12.weight"),
            ("a.*.weight", "a.b.weight"),
            ("*b*d*.e", "abcd.e"),
            ("a*a", "aa"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("a", "a.weight"),
            ("*b*d*", "acd"),
            ("a.*", "a"),
            ("a.*", "ab.weight"),
            ("*.weight", "a.b.weight"),
            ("a.*.weight", "a.b.c.weight"),
            ("a*a", "a"),
            ("a.weight.*", "a.weight"),
            ("", "a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }
}
