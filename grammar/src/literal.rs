//! Numbers and texts: their characters go in, their values come out, or what is wrong with them.

use crate::ast::ExprKind;
use crate::diagnostic::{Code, Diagnostic};
use crate::source::Span;

/// What may follow an integer, and what it stands for.
const SUFFIXES: [(&str, i64); 3] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `784`, `64_000`, `256_KiB`, `0.5`, `1e-4`.
pub(crate) fn number(written: &str, span: Span) -> Result<ExprKind, Box<Diagnostic>> {
    let digits: String = written.chars().filter(|&c| c != '_').collect();
    let (unit, factor) = SUFFIXES.iter().find(|(suffix, _)| digits.ends_with(suffix)).copied().unwrap_or(("", 1));
    let plain = digits.strip_suffix(unit).unwrap_or(&digits);
    let is_integer = plain.bytes().all(|byte| byte.is_ascii_digit());
    let is_float = plain.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let diagnostic = if is_integer {
        match plain.parse::<i64>().ok().and_then(|value| value.checked_mul(factor)) {
            Some(value) => return Ok(ExprKind::Integer(value)),
            None => Diagnostic::new(Code::NumberOutOfRange, span, "the integer is too large")
                .label(format!("the largest is {}", i64::MAX)),
        }
    } else {
        match plain.parse::<f64>() {
            Ok(_) if is_float && !unit.is_empty() => {
                Diagnostic::new(Code::Syntax, span, format!("`{unit}` follows integers only"))
                    .label("this is not an integer")
            }
            Ok(value) if is_float && value.is_finite() => return Ok(ExprKind::Float(value)),
            Ok(_) if is_float => Diagnostic::new(Code::NumberOutOfRange, span, "the number is too large")
                .label(format!("the largest is about {:e}", f64::MAX)),
            _ => {
                let diagnostic = Diagnostic::new(Code::Syntax, span, "this is not a number")
                    .label("letters follow the digits")
                    .note("numbers look like `784`, `64_000`, `256_KiB`, `0.5` or `1e-4`");
                let letters = written.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
                let figures = &written[..written.len() - letters.len()];
                match size(letters) {
                    Some(unit) => diagnostic.help(format!("write `{figures}_{unit}`")),
                    _ if ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "usize", "f32", "f64"]
                        .contains(&letters) =>
                    {
                        diagnostic.help(format!("numbers have no type: write `{figures}`"))
                    }
                    _ if !written.starts_with("0x") && letters.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                        diagnostic.help(format!("a product is `{figures} * {letters}`"))
                    }
                    _ => diagnostic,
                }
            }
        }
    };
    Err(Box::new(diagnostic))
}

/// The unit of a size as others write it.
pub(crate) fn size(token: &str) -> Option<&'static str> {
    match token {
        "K" | "k" | "KB" | "kB" | "KiB" | "kb" => Some("KiB"),
        "M" | "MB" | "MiB" | "mb" => Some("MiB"),
        "G" | "GB" | "GiB" | "gb" => Some("GiB"),
        _ => None,
    }
}

/// Reads a text with its quotes; `span` is that of the whole.
pub(crate) fn text(written: &str, span: Span) -> Result<String, Box<Diagnostic>> {
    let inner = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(written);
    let mut value = String::with_capacity(inner.len());
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next() {
            Some((_, 'n')) => value.push('\n'),
            Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
            other => {
                let escaped = other.map_or(' ', |(_, escaped)| escaped);
                let start = span.start + 1 + at as u32;
                let end = start + 1 + escaped.len_utf8() as u32;
                let shown = if escaped.is_control() { ' ' } else { escaped };
                let place = Span { start, end, ..span };
                return Err(Box::new(
                    Diagnostic::new(Code::Syntax, place, format!("unknown escape `\\{shown}`"))
                        .label("not an escape")
                        .note("the escapes are `\\\"`, `\\\\` and `\\n`"),
                ));
            }
        }
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_values() {
        let integers = [
            ("0", 0),
            ("007", 7),
            ("64_000", 64_000),
            ("256_KiB", 262_144),
            ("3MiB", 3_145_728),
            ("2_GiB", 2_147_483_648),
            ("9223372036854775807", i64::MAX),
        ];
        for (written, expected) in integers {
            assert_eq!(number(written, Span::default()), Ok(ExprKind::Integer(expected)), "{written}");
        }
        let floats = [("0.5", 0.5), ("1e-4", 0.0001), ("1_0.2_5", 10.25), ("2E+3", 2000.0), ("1e-999", 0.0)];
        for (written, expected) in floats {
            assert_eq!(number(written, Span::default()), Ok(ExprKind::Float(expected)), "{written}");
        }
    }

    #[test]
    fn wrong_numbers_have_codes() {
        let out_of_range = ["9223372036854775808", "9007199254740992_KiB", "1e999", "99999999999999999999"];
        for written in out_of_range {
            let code = number(written, Span::default()).map_err(|diagnostic| diagnostic.code);
            assert_eq!(code, Err(Code::NumberOutOfRange), "{written}");
        }
        for written in ["12abc", "0x1f", "1e", "0.5KiB", "1f32", "1_Kib", "1inf"] {
            let code = number(written, Span::default()).map_err(|diagnostic| diagnostic.code);
            assert_eq!(code, Err(Code::Syntax), "{written}");
        }
    }

    #[test]
    fn texts_have_their_characters() {
        assert_eq!(text(r#""""#, Span::default()), Ok(String::new()));
        assert_eq!(text(r#""a \"b\" \\ ü\n""#, Span::default()), Ok("a \"b\" \\ ü\n".to_owned()));
        let wrong = text(r#""ab\tc""#, Span { start: 10, end: 17, ..Span::default() });
        assert_eq!(wrong.map_err(|diagnostic| (diagnostic.span.start, diagnostic.span.end)), Err((13, 15)));
    }
}
