//! The text of a Program: what snapshots hold and `dln expand --stage program` prints.

use std::fmt;

use super::{BufferId, Home, Kernel, Layout, Method, Phase, Program, SliceShape, Step, Triangle};
use crate::graph::Role;

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (examples, shard, fixed, prepared) =
            (self.shard_examples, self.shard_floats, self.fixed_floats, self.prepared_floats);
        writeln!(f, "floats: {shard} in a shard of {examples}, {fixed} fixed, {prepared} prepared")?;
        if !self.prepare.is_empty() {
            writeln!(f, "prepare")?;
        }
        for step in &self.prepare {
            self.step(f, step)?;
        }
        for phase in &self.phases {
            writeln!(f, "{}", if matches!(phase, Phase::Shards(_)) { "shards" } else { "batch" })?;
            let mut within = None;
            for step in phase.steps() {
                if let Some(scan) = step.within.filter(|_| step.within != within) {
                    let (length, reversed) =
                        self.scans.get(scan).map_or((0, false), |scan| (scan.length, scan.reversed));
                    let reversed = if reversed { ", reversed" } else { "" };
                    writeln!(f, "  {}scan {scan}: {length} steps{reversed}", self.indent(scan))?;
                }
                within = step.within;
                self.step(f, step)?;
            }
        }
        for (role, id) in &self.results {
            let role = match role {
                Role::Output(index) => format!("output {index}"),
                Role::Loss(0) => "loss".to_owned(),
                Role::Loss(index) => format!("loss {index}"),
                Role::Metric(index) => format!("metric {index}"),
                Role::Gradient(index) => format!("gradient {index}"),
                Role::Update(index) => format!("update {index}"),
            };
            writeln!(f, "{role} is {}", self.name(*id))?;
        }
        Ok(())
    }
}

impl Program {
    /// `  hidden [128] at shard 0 = matmul … (image, hidden_weight_panels, hidden.bias)`
    fn step(&self, f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
        let place = self.place(step.result);
        let operands = step.operands.iter().map(|&operand| match self.window(operand) {
            Some((of, shape)) => format!("{} of {}", range(shape), self.name(of)),
            None => self.name(operand).to_owned(),
        });
        let operands: Vec<String> = operands.collect();
        let indent = step.within.map_or(String::new(), |scan| format!("  {}", self.indent(scan)));
        let (name, operands) = (self.name(step.result), operands.join(", "));
        let small = if step.small { "small " } else { "" };
        let moments = step.moments.into_iter().flatten().map(|id| format!(", {} {}", self.name(id), self.place(id)));
        let moments: String = moments.collect();
        writeln!(f, "  {indent}{name} {place}{moments} = {small}{} ({operands})", step.kernel)
    }

    /// `[128] at shard 0`
    fn place(&self, id: BufferId) -> String {
        self.buffers.get(id.0 as usize).map_or(String::new(), |result| {
            let home = match result.home {
                Home::Shard => "shard",
                Home::Step { .. } => "step",
                Home::Steps { .. } => "steps",
                Home::Window { .. } => "window",
                Home::Fixed => "fixed",
                Home::Prepared => "prepared",
                Home::Gradient(_) => "gradients",
                Home::Parameter(_) => "parameters",
                Home::State(_) => "state",
                Home::Update(_) => "updates",
                Home::Field(_) => "batch",
            };
            let lanes = if result.layout == Layout::Lanes { " in lanes" } else { "" };
            let place = match result.home {
                Home::Steps { of, first } => format!("{first}.. of {}", self.name(of)),
                Home::Step { later, .. } => later.to_string(),
                _ => match self.window(id) {
                    Some((of, shape)) => format!("{} of {}", range(shape), self.name(of)),
                    None => result.offset.to_string(),
                },
            };
            format!("{:?} at {home} {place}{lanes}", result.dims)
        })
    }

    fn indent(&self, mut scan: usize) -> String {
        let mut indent = String::new();
        while let Some(parent) = self.scans.get(scan).and_then(|scan| scan.parent) {
            indent += "  ";
            scan = parent;
        }
        indent
    }

    fn name(&self, id: BufferId) -> &str {
        self.buffers.get(id.0 as usize).map_or("?", |buffer| &buffer.name)
    }
}

/// Which floats of a block a window is.
fn range(SliceShape { start, len, .. }: SliceShape) -> String {
    format!("{start}..{}", start + len)
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        let epilogue = match self {
            Kernel::MatMul(_, _, epilogue)
            | Kernel::MatMulUnpacked(_, _, epilogue)
            | Kernel::MatMulEither(_, epilogue)
            | Kernel::Convolution2d(_, epilogue)
            | Kernel::Convolution2dInput(_, epilogue)
            | Kernel::Depthwise2d(_, epilogue) => Some(epilogue),
            _ => None,
        };
        match self {
            Kernel::Pack { inputs, outputs, transposed, either } => {
                write!(f, " {inputs}×{outputs}{}", if *transposed { " transposed" } else { "" })?;
                write!(f, "{}", if *either { " unless in place" } else { "" })?;
            }
            Kernel::MatMulEither(shape, _) => write!(f, " {}×{}×{}", shape.rows, shape.inputs, shape.outputs)?,
            Kernel::MatMul(shape, transposed, _) | Kernel::MatMulUnpacked(shape, transposed, _) => {
                write!(f, " {}×{}×{}", shape.rows, shape.inputs, shape.outputs)?;
                write!(f, "{}", if *transposed { " transposed" } else { "" })?;
            }
            Kernel::MatMulWeights(shape) => write!(f, " {}×{}×{}", shape.rows, shape.inputs, shape.outputs)?,
            Kernel::PackFilters { shape, transposed } => {
                write!(f, " {} filters of {} channels", shape.filters, shape.channels / shape.groups)?;
                write!(f, "{}", if shape.method() == Method::Winograd { " winograd" } else { "" })?;
                write!(f, "{}", if *transposed { " transposed" } else { "" })?;
            }
            Kernel::Convolution2d(s, _)
            | Kernel::Convolution2dInput(s, _)
            | Kernel::Convolution2dWeight(s, _)
            | Kernel::Convolution2dWeightOfShard(s)
            | Kernel::Convolution2dWeightOfBatch(s)
            | Kernel::Depthwise2d(s, _) => {
                write!(f, " {}×{}×{} filters {}", s.channels, s.height, s.width, s.filters)?;
                write!(f, " kernel {:?} stride {:?} padding {:?}", s.kernel, s.stride, s.padding)?;
                write!(f, " dilation {:?} groups {}", s.dilation, s.groups)?;
                f.write_str(if s.last { " channels last" } else { "" })?;
                if let Kernel::Convolution2dWeight(_, images @ 2..) = self {
                    write!(f, " of {images} images")?;
                }
            }
            Kernel::MaxPool2d(s, Some(expression)) | Kernel::MaxPool2dGradient(s, Some(expression)) => {
                write!(f, " {}×{}×{} kernel {:?} of {expression}", s.channels, s.height, s.width, s.kernel)?;
            }
            Kernel::MaxPool2d(s, None)
            | Kernel::MaxPool2dGradient(s, None)
            | Kernel::AvgPool2d(s)
            | Kernel::AvgPool2dGradient(s) => {
                write!(f, " {}×{}×{}", s.channels, s.height, s.width)?;
                write!(f, " kernel {:?} stride {:?} padding {:?}", s.kernel, s.stride, s.padding)?;
            }
            Kernel::Softmax(s)
            | Kernel::SoftmaxGradient(s)
            | Kernel::CrossEntropy(s)
            | Kernel::CrossEntropyGradient(s)
            | Kernel::LogSoftmax(s)
            | Kernel::ArgMax(s)
            | Kernel::Accuracy(s) => write!(f, " {}×{}", s.rows, s.classes)?,
            Kernel::CausalSoftmax(s) | Kernel::CausalSoftmaxGradient(s) => {
                write!(f, " {}×{}×{}", s.count, s.rows, s.columns)?
            }
            Kernel::Sum(s) | Kernel::Deviations(s) | Kernel::MaxReduce(s) | Kernel::Expand(s) | Kernel::Reverse(s) => {
                write!(f, " {}×{}×{}", s.outer, s.middle, s.inner)?
            }
            Kernel::Slice(s) | Kernel::Pad(s) => {
                write!(f, " {}×{} of {} from {}", s.outer, s.len, s.size, s.start)?;
            }
            Kernel::Concat(outer, lens) => write!(f, " {outer}×{lens:?}")?,
            Kernel::Transpose(s) => write!(f, " to {:?} from strides {:?}", s.dims, s.strides)?,
            Kernel::BatchedMatMul(s, [a, b]) => {
                write!(f, " {}×{}×{}×{}", s.count, s.rows, s.inner, s.columns)?;
                write!(f, "{}", if *a { " transposed a" } else { "" })?;
                write!(f, "{}", if *b { " transposed b" } else { "" })?;
                f.write_str(match s.triangle {
                    Triangle::None => "",
                    Triangle::Left => " lower a",
                    Triangle::Right => " lower b",
                    Triangle::Result => " lower y",
                })?;
            }
            Kernel::Gather(s) | Kernel::GatherGradient(s) => write!(f, " {} of {}×{}", s.count, s.rows, s.width)?,
            Kernel::OneHot(s) => write!(f, " {}×{}", s.rows, s.classes)?,
            Kernel::Pointwise(expression) => write!(f, " {expression}")?,
            Kernel::PointwiseSum(expression, s) => write!(f, " {}×{}×{} of {expression}", s.outer, s.middle, s.inner)?,
            Kernel::Uniform { instance } | Kernel::Normal { instance } => write!(f, " number {instance}")?,
            Kernel::Bernoulli { instance, keep } => write!(f, " {keep:?} number {instance}")?,
            Kernel::SumBatch(_)
            | Kernel::Interleave(_)
            | Kernel::Deinterleave(_)
            | Kernel::Clear(_)
            | Kernel::Float(_)
            | Kernel::Range
            | Kernel::BatchShare
            | Kernel::ExampleWeight
            | Kernel::Copy => {}
            Kernel::StepsFirst(s) | Kernel::ExamplesFirst(s) => write!(f, " {}×{}", s.steps, s.len)?,
        }
        if let Some(epilogue) = epilogue {
            write!(f, "{}", if epilogue.bias { " +bias" } else { "" })?;
            write!(f, "{}", if epilogue.residual { " +residual" } else { "" })?;
            if epilogue.activation != super::Activation::Identity {
                write!(f, " {}", format!("{:?}", epilogue.activation).to_lowercase())?;
            }
            write!(f, "{}", if epilogue.mask { " masked" } else { "" })?;
            if let Some(window) = epilogue.pool {
                write!(f, " max_pool {window:?}")?;
            }
        }
        Ok(())
    }
}
