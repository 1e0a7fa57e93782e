//! Imports: the files that a program is made of are read, each once, and become one tree.
//!
//! A program's own tree enters with something that reads files; one tree with the declarations of all files leaves, and
//! which file sees which. The compiler does no I/O: a front door reads. A path is relative to the file that it is
//! written in; `/` separates its parts on every system.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use dl_grammar::ast::{File, Import, Item};
use dl_grammar::{Code, Diagnostic, FileId, MAX_SOURCE_BYTES, Source, Sources, Span, parse};

use crate::Failure;

/// Files of one program.
const MAX_FILES: usize = 256;

/// Bytes of all imported files together.
const MAX_BYTES: usize = 8 * MAX_SOURCE_BYTES;

/// Reads the files that a program imports.
#[derive(Clone)]
pub struct Loader {
    main: String,
    read: Arc<Read>,
}

/// What reads a file: its path enters, its text leaves, or why that cannot be.
type Read = dyn Fn(&str) -> Result<Source, Box<Failure>> + Send + Sync;

impl Loader {
    /// A loader for the program at the path `main`. `read` is given paths relative to the folder that `main` is relative
    /// to. A text that is no file counts as one in that folder: its `main` is empty.
    pub fn new(
        main: impl Into<String>,
        read: impl Fn(&str) -> Result<Source, Box<Failure>> + Send + Sync + 'static,
    ) -> Loader {
        Loader { main: main.into().replace('\\', "/"), read: Arc::new(read) }
    }
}

impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader").field("main", &self.main).finish_non_exhaustive()
    }
}

/// The files of a program.
#[derive(Debug, Clone, Default)]
pub struct Imports {
    /// The paths of all imported files, in order, those that cannot be read among them.
    pub inputs: Vec<String>,
    /// For each imported file, the import in the program's own text that leads to it.
    pub places: BTreeMap<FileId, Span>,
    /// For each file, the files that it imports, and those that they import.
    visible: BTreeMap<FileId, BTreeSet<FileId>>,
}

impl Imports {
    /// Whether what `other` declares is known in `file`.
    pub(crate) fn sees(&self, file: FileId, other: FileId) -> bool {
        file == other || self.visible.get(&file).is_some_and(|visible| visible.contains(&other))
    }
}

/// A file that was read, or is the program itself.
struct Loaded {
    path: String,
    id: FileId,
    /// The import in the program's own text that leads to it.
    place: Option<Span>,
    targets: Vec<(usize, Span)>,
}

/// Reads all that a program imports, directly or not, and puts all declarations into its tree.
pub fn import(
    file: &mut File,
    main: FileId,
    sources: &mut Sources,
    loader: Option<&Loader>,
) -> (Imports, Vec<Diagnostic>) {
    let path = loader.map(|loader| normal(&loader.main)).unwrap_or_default();
    let mut files = vec![Loaded { path, id: main, place: None, targets: Vec::new() }];
    let mut imports = Imports::default();
    let mut diagnostics = Vec::new();
    let mut waiting: Vec<(usize, Vec<Import>)> = vec![(0, imports_of(file))];
    let mut bytes = 0;
    // The first to come is the first to be read, so that the files stand in the order of their imports.
    let mut next = 0;
    while let Some((from, found)) = waiting.get_mut(next).map(|(from, found)| (*from, std::mem::take(found))) {
        next += 1;
        for written in found {
            let path = match target(&files[from].path, &written) {
                Ok(path) => path,
                Err(diagnostic) => {
                    diagnostics.push(*diagnostic);
                    continue;
                }
            };
            let place = files[from].place.unwrap_or(written.path_span);
            if let Some(known) = files.iter().position(|file| file.path == path && !path.is_empty()) {
                files[from].targets.push((known, written.path_span));
                continue;
            }
            if imports.inputs.contains(&path) {
                continue;
            }
            if files.len() >= MAX_FILES || bytes > MAX_BYTES {
                let message = format!("a program has at most {MAX_FILES} files and {MAX_BYTES} bytes in them");
                diagnostics.push(Diagnostic::new(Code::BadImport, written.path_span, message).label("one too many"));
                return (imports, diagnostics);
            }
            imports.inputs.push(path.clone());
            match load(&path, &written, loader) {
                Ok(source) => {
                    bytes += source.text.len();
                    let id = sources.add(source);
                    let (tree, found) = parse(id, &sources.get(id).text);
                    diagnostics.extend(found);
                    imports.places.insert(id, place);
                    let new = files.len();
                    waiting.push((new, imports_of(&tree)));
                    files[from].targets.push((new, written.path_span));
                    files.push(Loaded { path, id, place: Some(place), targets: Vec::new() });
                    file.items.extend(tree.items);
                }
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
    }
    diagnostics.extend(cycles(&files));
    for (place, loaded) in files.iter().enumerate() {
        imports.visible.insert(loaded.id, visible(&files, place));
    }
    (imports, diagnostics)
}

fn imports_of(file: &File) -> Vec<Import> {
    let imports = file.items.iter().filter_map(|item| match item {
        Item::Import(import) => Some(import.clone()),
        _ => None,
    });
    imports.collect()
}

/// The path that an import in the file `from` means.
fn target(from: &str, import: &Import) -> Result<String, Box<Diagnostic>> {
    let wrong = |message: String, label: &str, help: &str| {
        Box::new(Diagnostic::new(Code::BadImport, import.path_span, message).label(label).help(help))
    };
    let path = import.path.as_str();
    if path.contains('\\') {
        let help = format!("write `import \"{}\";`", path.replace('\\', "/"));
        return Err(wrong(format!("`{path}` separates folders by `\\`"), "not a path on every system", &help));
    }
    if path.is_empty() || path.ends_with('/') {
        return Err(wrong(format!("`{path}` names no file"), "no file", "write `import \"layers.dln\";`"));
    }
    if path.starts_with('/') || path.split('/').next().is_some_and(|first| first.contains(':')) {
        let message = format!("`{path}` is not relative to the file that it stands in");
        return Err(wrong(
            message,
            "an absolute path",
            "write the way from this file's folder: `import \"../layers.dln\";`",
        ));
    }
    let folder = from.rsplit_once('/').map(|(folder, _)| folder);
    Ok(match folder {
        Some(folder) => normal(&format!("{folder}/{path}")),
        None => normal(path),
    })
}

/// The path without `.` and, where something stands before it, without `..`.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for (place, part) in path.split('/').enumerate() {
        match part {
            "" if place > 0 => {}
            "." => {}
            ".." if parts.last().is_some_and(|last| !matches!(*last, ".." | "")) => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

fn load(path: &str, import: &Import, loader: Option<&Loader>) -> Result<Source, Box<Diagnostic>> {
    let Some(loader) = loader else {
        let message = format!("`{path}` cannot be read from here");
        let diagnostic =
            Diagnostic::new(Code::BadImport, import.path_span, message).label("this text stands by itself");
        return Err(Box::new(diagnostic));
    };
    (loader.read)(path).map_err(|failure| {
        let found = failure.diagnostics.into_iter().next();
        let mut diagnostic = found.unwrap_or_else(|| {
            Diagnostic::new(Code::FileUnreadable, import.path_span, format!("cannot read `{path}`"))
        });
        // What is wrong with the file is said where it is asked for.
        diagnostic.span = import.path_span;
        diagnostic.related.clear();
        if diagnostic.label.is_empty() {
            diagnostic.label = "imported here".to_owned();
        }
        Box::new(diagnostic)
    })
}

/// One mistake for each import that leads back to its own file, found depth first with a stack of its own.
fn cycles(files: &[Loaded]) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let mut is_done = vec![false; files.len()];
    let mut open: Vec<(usize, usize)> = vec![(0, 0)];
    while let Some((file, next)) = open.last_mut() {
        let Some(&(target, span)) = files[*file].targets.get(*next) else {
            is_done[*file] = true;
            open.pop();
            continue;
        };
        *next += 1;
        if let Some(start) = open.iter().position(|(file, _)| *file == target) {
            let name = |place: usize| match files[place].path.as_str() {
                "" => "the program".to_owned(),
                path => format!("`{path}`"),
            };
            let mut chain: Vec<String> = open[start..].iter().map(|(file, _)| name(*file)).collect();
            chain.push(name(target));
            let message = format!("{} imports itself", name(target));
            let diagnostic = Diagnostic::new(Code::BadImport, span, message)
                .label("closes the circle")
                .note(format!("the chain: {}", chain.join(" imports ")))
                .help("move what both need into a file of its own, and import that");
            diagnostics.push(diagnostic);
        } else if !is_done[target] {
            open.push((target, 0));
        }
    }
    diagnostics
}

/// The files that can be reached from one.
fn visible(files: &[Loaded], from: usize) -> BTreeSet<FileId> {
    let mut reached = vec![false; files.len()];
    let mut waiting = vec![from];
    let mut visible = BTreeSet::new();
    while let Some(file) = waiting.pop() {
        for &(target, _) in &files[file].targets {
            if !std::mem::replace(&mut reached[target], true) {
                visible.insert(files[target].id);
                waiting.push(target);
            }
        }
    }
    visible
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn a_path_has_one_normal_form() {
        for (path, expected) in [
            ("a.dln", "a.dln"),
            ("./a.dln", "a.dln"),
            ("nets/../a.dln", "a.dln"),
            ("nets//./b/../a.dln", "nets/a.dln"),
            ("../a.dln", "../a.dln"),
            ("../../x/../a.dln", "../../a.dln"),
            ("/work/../a.dln", "/a.dln"),
            ("", ""),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }
}
