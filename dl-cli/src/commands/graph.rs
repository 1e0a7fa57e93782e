//! `dln graph`: a file enters, a drawing leaves: as DOT, or as a picture that Graphviz makes of it.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use dl_compiler::pipeline::Network;

use crate::{drawing, files, output};

/// The program that turns DOT into pictures.
const GRAPHVIZ: &str = "dot";

/// The kind of picture that a file's name asks for; `None` if it is not one of those that can be made.
pub(crate) fn picture_kind(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "dot" | "gv" => Some("dot"),
        "svg" => Some("svg"),
        "png" => Some("png"),
        "pdf" => Some("pdf"),
        _ => None,
    }
}

/// Draws one network of a file.
pub(crate) fn graph(file: &Path, target: Option<&Path>, name: Option<&str>) -> ExitCode {
    let compiled = match files::compile(file) {
        Ok(compiled) => compiled,
        Err(failure) => return output::failure(&failure),
    };
    let network = match choose(&compiled.networks, name) {
        Ok(network) => network,
        Err(message) => {
            output::message(&message);
            return ExitCode::FAILURE;
        }
    };
    let drawing = drawing::draw(&network.model);
    let Some(target) = target else { return output::print(&drawing) };
    let written = match picture_kind(target) {
        Some("dot") | None => std::fs::write(target, drawing).map_err(|error| error.to_string()),
        Some(kind) => picture(&drawing, kind, target),
    };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            output::message(&format!("cannot write {}: {problem}", target.display()));
            ExitCode::FAILURE
        }
    }
}

fn choose<'a>(networks: &'a [Network], name: Option<&str>) -> Result<&'a Network, String> {
    let names: Vec<&str> = networks.iter().map(|network| network.model.name.as_str()).collect();
    match (networks, name) {
        ([only], None) => Ok(only),
        (_, None) => Err(format!("the file has the networks {}; choose one by --network NAME", names.join(", "))),
        (_, Some(name)) => networks.iter().find(|network| network.model.name == name).ok_or_else(|| {
            let help = dl_grammar::closest(name, names.iter().copied());
            let help = help.map_or(String::new(), |close| format!("; did you mean `{close}`?"));
            format!("the file has no network `{name}`{help}")
        }),
    }
}

/// Lets Graphviz make a picture of a drawing.
fn picture(drawing: &str, kind: &str, target: &Path) -> Result<(), String> {
    let mut child = Command::new(GRAPHVIZ)
        .arg(format!("-T{kind}"))
        .arg("-o")
        .arg(target)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "this needs Graphviz's program `dot`, which is not there\n  \
                = help: install Graphviz, or write a .dot file, which needs nothing"
                .to_owned(),
            _ => format!("Graphviz's program `dot` does not start: {error}"),
        })?;
    // Graphviz reads all before it writes; if it ends early, its exit status says so.
    let sent = child.stdin.take().map(|mut pipe| pipe.write_all(drawing.as_bytes()));
    let ended = child.wait_with_output().map_err(|error| error.to_string())?;
    if ended.status.success() && sent.is_some_and(|sent| sent.is_ok()) {
        return Ok(());
    }
    Err(format!("Graphviz says: {}", String::from_utf8_lossy(&ended.stderr).trim()))
}
