//! Names that every module of generated code has: what resolve refuses and emit keeps free.

/// Names of types and constants that a module of generated code has or relies on.
pub(crate) const TYPES: &[&str] = &[
    "Batch",
    "Examples",
    "Gradients",
    "INITIALIZERS",
    "None",
    "Ok",
    "Err",
    "Option",
    "Optimizer",
    "Outputs",
    "OwnedOutputs",
    "Parameters",
    "Prepared",
    "Range",
    "Report",
    "Result",
    "STATE_INITIALIZERS",
    "Settings",
    "Some",
    "State",
    "TrainingWorkspace",
    "Vec",
    "Workspace",
];

/// Names of methods that blocks of tensors have.
pub(crate) const METHODS: &[&str] =
    &["as_mut_slice", "as_slice", "clone", "copy_from", "init", "load", "new", "prepare", "save", "tensor", "zeros"];
