//! What a `train` section says, and the tables of what it can say: the one list of names, defaults and ranges.
//!
//! A [`Form`] is written as a call, `adam(learning_rate: 0.01)`, and stands for a type or variant of the runtime whose fields
//! have the names of its settings.

use dl_grammar::Span;

/// The numbers of a `train` section, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Train {
    /// The optimizer.
    pub optimizer: Chosen,
    /// How gradients are clipped.
    pub clip: Option<Chosen>,
    /// Steps to an update.
    pub accumulate: usize,
    /// Share of the moving average of the parameters that remains.
    pub ema: Option<f64>,
    /// Factors of the weight decay, by pattern.
    pub decay: Vec<DecayFactor>,
    /// The shape of the schedule.
    pub schedule: Chosen,
    /// What comes before it.
    pub warm_up: Option<Chosen>,
    /// Examples in a mini-batch.
    pub batch: usize,
    /// Passes over the training set.
    pub epochs: usize,
    /// `early(patience: 3)`
    pub patience: Option<usize>,
}

impl Default for Train {
    /// What a network without train section gets: Adam with its authors' numbers.
    fn default() -> Self {
        Train {
            optimizer: Chosen::new(&ADAM),
            clip: None,
            accumulate: 1,
            ema: None,
            decay: Vec::new(),
            schedule: Chosen::new(&CONSTANT),
            warm_up: None,
            batch: 32,
            epochs: 10,
            patience: None,
        }
    }
}

/// `factor("*.bias", 0)`
#[derive(Debug, Clone, PartialEq)]
pub struct DecayFactor {
    /// Which parameters.
    pub pattern: String,
    /// What their decay is multiplied by.
    pub factor: f64,
    /// Where the pattern is written.
    pub span: Span,
}

/// A form with its numbers, one for each setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// Which one.
    pub form: &'static Form,
    /// Its numbers.
    pub numbers: Vec<Number>,
}

impl Chosen {
    /// The form with its defaults; 0 for what has none.
    pub fn new(form: &'static Form) -> Chosen {
        Chosen { form, numbers: form.settings.iter().map(Setting::initial).collect() }
    }

    /// The number of that name.
    pub fn number(&self, name: &str) -> Option<&Number> {
        let place = self.form.settings.iter().position(|setting| setting.name == name)?;
        self.numbers.get(place)
    }
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    /// A number.
    Float(f64),
    /// A whole number.
    Count(usize),
    /// A truth value.
    Truth(bool),
    /// Several numbers.
    List(Vec<f64>),
}

/// What is written as a call in a train section.
#[derive(Debug, PartialEq)]
pub struct Form {
    /// What the language calls it.
    pub name: &'static str,
    /// What the runtime calls it.
    pub rust: &'static str,
    /// Its settings in order.
    pub settings: &'static [Setting],
}

/// A number of a form.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// Its name, in the language and in the runtime.
    pub name: &'static str,
    /// What it is if it is not written; it must be written if there is none.
    pub default: Option<f64>,
    /// What it must be.
    pub range: Range,
}

/// What a number must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// Above 0.
    Positive,
    /// At least 0.
    NotNegative,
    /// At least 1.
    AtLeastOne,
    /// From 0 up to, not including, 1.
    BelowOne,
    /// From 0 to 1.
    Share,
    /// `true` or `false`.
    Truth,
    /// A whole number from 1.
    Count,
    /// A whole number from 0.
    Whole,
    /// Numbers of at least 0.
    List,
}

impl Setting {
    fn initial(&self) -> Number {
        let default = self.default.unwrap_or(0.0);
        match self.range {
            Range::Truth => Number::Truth(default != 0.0),
            Range::Count | Range::Whole => Number::Count(default as usize),
            Range::List => Number::List(Vec::new()),
            _ => Number::Float(default),
        }
    }
}

const fn with(name: &'static str, default: f64, range: Range) -> Setting {
    Setting { name, default: Some(default), range }
}

const fn required(name: &'static str, range: Range) -> Setting {
    Setting { name, default: None, range }
}

const fn form(name: &'static str, rust: &'static str, settings: &'static [Setting]) -> Form {
    Form { name, rust, settings }
}

const ADAM: Form = form("adam", "Adam", &adam(0.001, 0.0));

/// The settings of Adam and its relatives.
const fn adam(learning_rate: f64, weight_decay: f64) -> [Setting; 5] {
    [
        with("learning_rate", learning_rate, Range::Positive),
        with("beta1", 0.9, Range::BelowOne),
        with("beta2", 0.999, Range::BelowOne),
        with("epsilon", 1e-8, Range::Positive),
        with("weight_decay", weight_decay, Range::NotNegative),
    ]
}

/// The optimizers.
pub static OPTIMIZERS: &[Form] = &[
    form(
        "sgd",
        "Sgd",
        &[
            with("learning_rate", 0.01, Range::Positive),
            with("momentum", 0.0, Range::BelowOne),
            with("nesterov", 0.0, Range::Truth),
            with("weight_decay", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "adagrad",
        "AdaGrad",
        &[
            with("learning_rate", 0.01, Range::Positive),
            with("initial_accumulator", 0.0, Range::NotNegative),
            with("epsilon", 1e-10, Range::Positive),
            with("weight_decay", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "rmsprop",
        "RmsProp",
        &[
            with("learning_rate", 0.01, Range::Positive),
            with("rho", 0.99, Range::BelowOne),
            with("momentum", 0.0, Range::BelowOne),
            with("centered", 0.0, Range::Truth),
            with("epsilon", 1e-8, Range::Positive),
            with("weight_decay", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "adadelta",
        "AdaDelta",
        &[
            with("learning_rate", 1.0, Range::Positive),
            with("rho", 0.9, Range::BelowOne),
            with("epsilon", 1e-6, Range::Positive),
            with("weight_decay", 0.0, Range::NotNegative),
        ],
    ),
    ADAM,
    form("adamw", "AdamW", &adam(0.001, 0.01)),
    form("nadam", "NAdam", &adam(0.002, 0.0)),
    form("amsgrad", "AmsGrad", &adam(0.001, 0.0)),
    form(
        "lion",
        "Lion",
        &[
            with("learning_rate", 1e-4, Range::Positive),
            with("beta1", 0.9, Range::BelowOne),
            with("beta2", 0.99, Range::BelowOne),
            with("weight_decay", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "ftrl",
        "Ftrl",
        &[
            with("learning_rate", 0.1, Range::Positive),
            with("beta", 1.0, Range::NotNegative),
            with("l1", 0.0, Range::NotNegative),
            with("l2", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "proximal_gradient",
        "ProximalGradient",
        &[
            with("learning_rate", 0.01, Range::Positive),
            with("l1", 0.0, Range::NotNegative),
            with("l2", 0.0, Range::NotNegative),
        ],
    ),
    form(
        "proximal_adagrad",
        "ProximalAdaGrad",
        &[
            with("learning_rate", 0.01, Range::Positive),
            with("initial_accumulator", 0.1, Range::Positive),
            with("l1", 0.0, Range::NotNegative),
            with("l2", 0.0, Range::NotNegative),
        ],
    ),
];

/// How gradients are clipped.
pub static CLIPS: &[Form] = &[
    form("value", "Value", &[required("limit", Range::Positive)]),
    form("norm", "Norm", &[required("limit", Range::Positive)]),
    form("global_norm", "GlobalNorm", &[required("limit", Range::Positive)]),
];

const CONSTANT: Form = form("constant", "Constant", &[]);

/// The shapes of schedules.
pub static SCHEDULES: &[Form] = &[
    CONSTANT,
    form("step", "Step", &[required("every", Range::Positive), with("factor", 0.1, Range::Positive)]),
    form("piecewise", "Piecewise", &[required("at", Range::List), required("factors", Range::List)]),
    form("exponential", "Exponential", &[required("factor", Range::Positive)]),
    form(
        "polynomial",
        "Polynomial",
        &[required("epochs", Range::Positive), with("end", 0.0, Range::Share), with("power", 1.0, Range::Positive)],
    ),
    form("cosine", "Cosine", &[required("epochs", Range::Positive), with("end", 0.0, Range::Share)]),
    form(
        "cosine_restarts",
        "CosineRestarts",
        &[required("epochs", Range::Positive), with("growth", 1.0, Range::AtLeastOne), with("end", 0.0, Range::Share)],
    ),
    form(
        "one_cycle",
        "OneCycle",
        &[
            required("epochs", Range::Positive),
            with("rise", 0.3, Range::Share),
            with("start", 0.04, Range::Share),
            with("end", 4e-6, Range::Share),
        ],
    ),
    form(
        "plateau",
        "Plateau",
        &[
            with("factor", 0.1, Range::BelowOne),
            with("patience", 10.0, Range::Count),
            with("minimum_change", 1e-4, Range::NotNegative),
            with("cooldown", 0.0, Range::Whole),
            with("end", 0.0, Range::Share),
        ],
    ),
];

/// What may stand before a schedule, with `then:` the schedule.
pub static WARM_UP: Form =
    form("warm_up", "WarmUp", &[required("epochs", Range::Positive), with("start", 0.1, Range::Share)]);

/// When training stops before its last epoch.
pub static STOPS: &[Form] = &[form("early", "", &[required("patience", Range::Count)])];
