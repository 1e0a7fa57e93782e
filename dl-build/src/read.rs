//! A path enters, a source text leaves, or a numbered error at its place; and what reads imported files in this manner.
//! Nothing is parsed.

use dl_compiler::{Code, Diagnostic, Failure, FileId, Loader, Source, Sources, Span};
use dl_grammar::MAX_SOURCE_BYTES;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use syn::parse::Parser;

/// Reads a file, which messages call `name`. A byte order mark at its start is left out.
///
/// # Errors
/// `E0005` at the first bytes that are not UTF-8, `E0006` if the file cannot be read, `E0007` if it is longer than
/// [`MAX_SOURCE_BYTES`]; no more than that is ever read, so an endless device ends here too.
pub fn read(path: &Path, name: &str) -> Result<Source, Box<Failure>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_SOURCE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    if let Err(error) = std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
        return Err(unreadable(path, name, &error));
    }
    if bytes.len() > MAX_SOURCE_BYTES {
        let message = format!("`{name}` is longer than {MAX_SOURCE_BYTES} bytes");
        return Err(failure(Code::SourceTooLarge, Source::new(name, ""), 0..0, message, |d| d));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Source::new(name, text.strip_prefix('\u{feff}').unwrap_or(&text))),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(valid).copied().unwrap_or_default();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let message = format!("`{name}` is not UTF-8");
            let place = valid..valid + char::REPLACEMENT_CHARACTER.len_utf8();
            Err(failure(Code::NotUtf8, Source::new(name, text), place, message, |d| {
                d.label(format!("the byte {byte:#04x} starts no character"))
                    .help("save the file as UTF-8; every editor offers it")
            }))
        }
    }
}

/// What reads the files that the program at `main` imports; both are relative to `folder`. The program itself may be no
/// file: then `main` is empty, and what it imports is relative to `folder`.
pub fn loader(folder: impl Into<PathBuf>, main: impl Into<String>) -> Loader {
    let folder = folder.into();
    Loader::new(main, move |path| read(&folder.join(path), path))
}

/// Whether `text` is a path of Rust that generated code can start from: names with `::` between and perhaps before
/// them, no generics, no keywords but those that start paths.
pub fn is_path(text: &str) -> bool {
    syn::Path::parse_mod_style.parse_str(text).is_ok()
}

fn unreadable(path: &Path, name: &str, error: &std::io::Error) -> Box<Failure> {
    let why = match error.kind() {
        ErrorKind::NotFound => "there is no such file".to_owned(),
        ErrorKind::IsADirectory => "it is a folder".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    let message = format!("cannot read `{name}`: {why}");
    failure(Code::FileUnreadable, Source::new(name, ""), 0..0, message, |diagnostic| {
        if path == Path::new(name) { diagnostic } else { diagnostic.note(format!("looked for {}", path.display())) }
    })
}

fn failure(
    code: Code,
    source: Source,
    bytes: std::ops::Range<usize>,
    message: String,
    more: impl FnOnce(Diagnostic) -> Diagnostic,
) -> Box<Failure> {
    let mut sources = Sources::default();
    let file: FileId = sources.add(source);
    let at = |byte| u32::try_from(byte).unwrap_or(u32::MAX);
    let span = Span { file, start: at(bytes.start), end: at(bytes.end) };
    let diagnostics = vec![more(Diagnostic::new(code, span, message))];
    Box::new(Failure { sources, imports: Default::default(), diagnostics, tokens: Default::default() })
}
