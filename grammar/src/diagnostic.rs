//! What is wrong, where, why, and what helps: diagnostics and their codes.
//!
//! A [`Diagnostic`] is data; [`render`](crate::render) turns it into text in the manner of rustc.
//! Diagnostics are collected, never thrown: a stage returns what it could make and what it has to say.

use crate::source::Span;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Its number in the catalogue.
    pub code: Code,
    /// Headline: operation, expected, found; lower case, no full stop.
    pub message: String,
    /// The offending place.
    pub span: Span,
    /// What is said right under the offending place; may be empty.
    pub label: String,
    /// Places that explain it.
    pub related: Vec<(Span, String)>,
    /// Lines of explanation.
    pub notes: Vec<String>,
    /// Something that can be typed.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A diagnostic with a headline at a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: message.into(),
            span,
            label: String::new(),
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Says something right under the offending place.
    pub fn label(mut self, text: impl Into<String>) -> Diagnostic {
        self.label = text.into();
        self
    }

    /// Adds a place that explains it.
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        self.related.push((span, text.into()));
        self
    }

    /// Adds a line of explanation.
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Says what helps.
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help = Some(text.into());
        self
    }
}

macro_rules! codes {
    ($($variant:ident = $number:literal, $title:literal;)*) => {
        /// The numbers of the error catalogue. `E00xx` reading, `E01xx` names, `E02xx` calls,
        /// `E03xx` shapes, `E04xx` networks, `E05xx` limits, `E09xx` the compiler itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// All codes in the order of the catalogue.
            pub const ALL: &[Code] = &[$(Code::$variant),*];

            /// `E0301`
            pub fn number(self) -> &'static str {
                match self { $(Code::$variant => $number),* }
            }

            /// What kind of mistake it names.
            pub fn title(self) -> &'static str {
                match self { $(Code::$variant => $title),* }
            }

            /// Its page of the catalogue in Markdown, from `errors/`: the cause, a program that leads to it (in a block
            /// marked `dln,E0301`), what to do, and the program put right (in a block marked `dln`).
            pub fn explanation(self) -> &'static str {
                match self { $(Code::$variant => include_str!(concat!("errors/", $number, ".md"))),* }
            }
        }
    };
}

codes! {
    Syntax = "E0001", "the text is not what the grammar expects here";
    NestingTooDeep = "E0002", "brackets, blocks or operators are nested too deeply";
    UnterminatedComment = "E0003", "a comment or text is never closed";
    NumberOutOfRange = "E0004", "a number is too large to be read";
    NotUtf8 = "E0005", "the file is not UTF-8";
    FileUnreadable = "E0006", "the file cannot be read";
    SourceTooLarge = "E0007", "the source text is too long";
    Empty = "E0008", "the file declares no network";
    UnknownVersion = "E0009", "the file is written in a version of the language that is unknown";
    BadImport = "E0010", "an import cannot be followed";

    UnknownName = "E0101", "no such name";
    DuplicateName = "E0102", "a name is declared twice";
    ReservedName = "E0103", "the name is reserved for generated code";
    NoSuchPath = "E0104", "a pattern of parameter paths matches nothing";

    UnknownAttribute = "E0201", "the callable has no such attribute";
    MissingArgument = "E0202", "an operand or attribute is missing";
    TooManyArguments = "E0203", "there are more arguments than the callable takes";
    WrongKind = "E0204", "the value is of another kind than is needed here";
    NotConstant = "E0205", "the value must be known at compile time";
    BadAttribute = "E0206", "an attribute has a value that the callable does not take";
    Recursion = "E0207", "a callable reaches itself";
    AssertionFailed = "E0208", "an assertion does not hold";

    ShapeMismatch = "E0301", "the shape of an operand does not fit";
    BadDimension = "E0302", "a dimension is not an integer of at least 1";
    Broadcast = "E0303", "two shapes do not broadcast together";
    ElementMismatch = "E0304", "the operand holds another kind of element";
    BatchRule = "E0305", "a batch-wide value stands where one per example is needed, or the other way round";
    NotDivisible = "E0306", "an integer division leaves a remainder";

    MissingLoss = "E0401", "a network with parameters and a train section needs a loss";
    LossNotScalar = "E0402", "a loss or metric must be a single number per example";
    MissingOutput = "E0403", "a network has neither output nor loss";
    BadTrainSetting = "E0404", "a setting of the train section is unknown or has a bad value";
    NotDifferentiable = "E0405", "no gradient reaches any parameter";
    LabelInInference = "E0406", "an output depends on a label";
    MisplacedMember = "E0407", "the declaration does not belong here";
    TrainingDisagrees = "E0408", "training and inference disagree about parameters or shapes";
    MissingInput = "E0409", "a network has no input";

    CarryUnassigned = "E0410", "a carry of a scan gets no next value";
    NotInScan = "E0411", "the operation cannot stand within a scan";
    BadBudget = "E0412", "a limit of the budget is unknown or has a bad value";

    TooLarge = "E0501", "the network is larger than the limit";
    TooManyNodes = "E0502", "the program unfolds to more operations than the limit";
    OverBudget = "E0503", "the network outgrows its budget";

    Internal = "E0901", "the compiler contradicts itself";
}
