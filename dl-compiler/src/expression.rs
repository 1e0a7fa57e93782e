//! Pointwise expressions: what a fused loop computes for one place from one number of each operand.
//!
//! `fuse` builds them, the reference evaluator runs them, emit writes each as a small function over a lane type.

use std::fmt;

use crate::ops::PointwiseFn;

/// How place `i` of the result finds its number in an operand: `operand[(i / inner) % len]`.
/// For an operand per example with `inner * len` equal to the result's length, that holds within each example.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// How many places in a row see the same number.
    pub inner: usize,
    /// How many numbers there are (for one example if it is per example).
    pub len: usize,
}

/// What an instruction works on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Argument {
    /// The number of an operand.
    Operand(usize),
    /// The result of an earlier instruction.
    Instruction(usize),
    /// Always the same number.
    Constant(f64),
}

/// One function of numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Instruction {
    /// Which.
    pub function: PointwiseFn,
    /// Of what, in order.
    pub arguments: Vec<Argument>,
    /// What the source calls the result; empty if it has no name.
    pub name: String,
}

/// Instructions in order; the last one's result is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    /// How each operand is read.
    pub views: Vec<View>,
    /// At least one.
    pub instructions: Vec<Instruction>,
}

impl PointwiseFn {
    /// The function on numbers; argument order as in [`Instruction::arguments`].
    pub fn eval(self, x: &[f64]) -> f64 {
        use PointwiseFn::*;
        let truth = |holds: bool| f64::from(u8::from(holds));
        match (self, x) {
            (Negate, [x]) => -x,
            (Relu, [x]) => {
                if *x < 0.0 {
                    0.0
                } else {
                    *x
                }
            }
            (Sigmoid, [x]) => 1.0 / (1.0 + (-x).exp()),
            (Tanh, [x]) => x.tanh(),
            (Exp, [x]) => x.exp(),
            (Log, [x]) => x.ln(),
            (Sqrt, [x]) => x.sqrt(),
            (Abs, [x]) => x.abs(),
            (Erf, [x]) => erf(*x),
            (Softplus, [x]) => x.max(0.0) + (-x.abs()).exp().ln_1p(),
            (Sin, [x]) => x.sin(),
            (Cos, [x]) => x.cos(),
            (Add, [x, y]) => x + y,
            (Subtract, [x, y]) => x - y,
            (Multiply, [x, y]) => x * y,
            (Divide, [x, y]) => x / y,
            (Minimum, [x, y]) => x.min(*y),
            (Maximum, [x, y]) => x.max(*y),
            (Power, [x, y]) => x.powf(*y),
            (Greater, [x, y]) => truth(x > y),
            (GreaterEqual, [x, y]) => truth(x >= y),
            (Equal, [x, y]) => truth(x == y),
            (NotEqual, [x, y]) => truth(x != y),
            (Select, [condition, x, y]) => {
                if *condition != 0.0 {
                    *x
                } else {
                    *y
                }
            }
            _ => f64::NAN,
        }
    }

    /// What dumps call it.
    pub fn name(self) -> &'static str {
        use PointwiseFn::*;
        match self {
            Negate => "negate",
            Relu => "relu",
            Sigmoid => "sigmoid",
            Tanh => "tanh",
            Exp => "exp",
            Log => "log",
            Sqrt => "sqrt",
            Abs => "abs",
            Erf => "erf",
            Softplus => "softplus",
            Sin => "sin",
            Cos => "cos",
            Add => "add",
            Subtract => "subtract",
            Multiply => "multiply",
            Divide => "divide",
            Minimum => "minimum",
            Maximum => "maximum",
            Power => "power",
            Greater => "greater",
            GreaterEqual => "greater_equal",
            Equal => "equal",
            NotEqual => "not_equal",
            Select => "select",
        }
    }
}

/// The error function by its series for small and its continued fraction for large arguments, to about 1e-15.
fn erf(x: f64) -> f64 {
    let a = x.abs();
    if a < 3.0 {
        let (mut term, mut sum, mut n) = (a, a, 0.0);
        while term.abs() > 1e-17 * sum.abs() && n < 200.0 {
            n += 1.0;
            term *= -a * a / n;
            sum += term / (2.0 * n + 1.0);
        }
        return (2.0 / std::f64::consts::PI.sqrt() * sum).copysign(x);
    }
    let fraction = (1..=60).rev().fold(0.0, |tail, k| f64::from(k) / 2.0 / (a + tail));
    (1.0 - (-a * a).exp() / ((a + fraction) * std::f64::consts::PI.sqrt())).copysign(x)
}

impl Expression {
    /// The value at one place, given one number of each operand.
    pub fn eval(&self, operands: &[f64]) -> f64 {
        let mut results: Vec<f64> = Vec::with_capacity(self.instructions.len());
        for instruction in &self.instructions {
            let arguments: Vec<f64> = instruction
                .arguments
                .iter()
                .map(|argument| match *argument {
                    Argument::Operand(index) => operands[index],
                    Argument::Instruction(index) => results[index],
                    Argument::Constant(value) => value,
                })
                .collect();
            results.push(instruction.function.eval(&arguments));
        }
        results.last().copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Expression {
    /// `v0 = greater(x1, 0.0), v1 = multiply(x0, v0)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, instruction) in self.instructions.iter().enumerate() {
            let arguments: Vec<String> = instruction
                .arguments
                .iter()
                .map(|argument| match *argument {
                    Argument::Operand(index) => format!("x{index}"),
                    Argument::Instruction(index) => format!("v{index}"),
                    Argument::Constant(value) => format!("{value:?}"),
                })
                .collect();
            let comma = if place == 0 { "" } else { ", " };
            write!(f, "{comma}v{place} = {}({})", instruction.function.name(), arguments.join(", "))?;
        }
        Ok(())
    }
}
