//! Trees of expressions, each made for the shape that is asked for.

use std::fmt::Write as _;

/// How deep trees grow.
const DEPTH: usize = 4;

/// Something that a name stands for.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    dims: Vec<usize>,
}

/// A network while it is written.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    /// What the network is called.
    network: &'a str,
    choices: std::slice::Iter<'a, u16>,
    /// Parameters and shared layers, which stand before everything else.
    held: String,
    /// The members of the innermost block.
    members: String,
    /// What can be named in the innermost block, all of it for each example.
    values: Vec<Named>,
    /// How many names were made up.
    names: usize,
    /// How many loops are around the innermost block.
    loops: usize,
    /// How many rows `frames` has, and words there are.
    time: usize,
}

fn list(dims: &[usize]) -> String {
    let dims: Vec<String> = dims.iter().map(usize::to_string).collect();
    format!("[{}]", dims.join(", "))
}

fn size(dims: &[usize]) -> usize {
    dims.iter().product()
}

impl<'a> Writer<'a> {
    pub(crate) fn new(network: &'a str, choices: &'a [u16]) -> Writer<'a> {
        Writer {
            network,
            choices: choices.iter(),
            held: String::new(),
            members: String::new(),
            values: Vec::new(),
            names: 0,
            loops: 0,
            time: 0,
        }
    }

    /// A number below `options`.
    fn choose(&mut self, options: usize) -> usize {
        self.choices.next().map_or(0, |&choice| usize::from(choice) % options)
    }

    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}_{}", self.names)
    }

    fn size(&mut self) -> usize {
        [3, 2, 4, 1, 5][self.choose(5)]
    }

    fn shape(&mut self) -> Vec<usize> {
        match self.choose(3) {
            0 => vec![self.size()],
            1 => vec![if self.choose(2) == 0 { self.time } else { self.size() }, self.size()],
            _ => vec![self.size(), 1 + self.choose(4), 1 + self.choose(4)],
        }
    }

    /// The members of the network, a line each.
    pub(crate) fn network(&mut self) -> String {
        self.time = 2 + self.choose(4);
        let time = self.time;
        let fields = [
            ("x", vec![self.size()]),
            ("frames", vec![time, self.size()]),
            ("image", vec![self.size(), 2 + self.choose(5), 2 + self.choose(5)]),
        ];
        let mut text = String::new();
        for (name, dims) in fields {
            let _ = writeln!(text, "    input {name}: {};", list(&dims));
            self.values.push(Named { name: name.to_owned(), dims });
        }
        let target = vec![self.size()];
        let _ = writeln!(text, "    input words: index(7)[{time}];\n    input length: index({});", time + 1);
        let _ = writeln!(text, "    label target: {};\n    label kind: index(3);\n", list(&target));
        for _ in 0..1 + self.choose(4) {
            let dims = self.shape();
            let name = self.name("v");
            let value = self.tree(&dims, DEPTH);
            let _ = writeln!(self.members, "    {name} = {value};");
            self.values.push(Named { name, dims });
        }
        let estimate = self.tree(&target, DEPTH);
        let logits = self.tree(&[3], DEPTH);
        let dims = self.shape();
        let other = self.tree(&dims, DEPTH);
        let _ = writeln!(self.members, "    rest = {other};");
        // Whatever was not used is used here, so that every field and parameter is reached.
        let all: Vec<String> = self.values.iter().map(|value| format!("mean({})", value.name)).collect();
        let _ = writeln!(self.members, "    all = {} + mean(float(words)) + float(length);", all.join(" + "));
        let _ = writeln!(self.members, "    estimate = {estimate} + 0.1 * reshape(sin(all), [1]);");
        // Logits that are all equal but for their rounding have no greatest.
        let _ = writeln!(self.members, "    logits = {logits} + 0.1 * one_hot(kind, 3);");
        let _ = writeln!(self.members, "    output value = estimate;\n    output other = rest;");
        let _ = writeln!(
            self.members,
            "    loss mse(estimate, target) + cross_entropy(logits, kind) + 0.1 * mean(sin(rest));"
        );
        if self.choose(2) == 1 {
            let dims = self.shape();
            let more = self.tree(&dims, 2);
            let _ = writeln!(self.members, "    loss 0.1 * mean(cos({more}));");
        }
        let _ = writeln!(self.members, "    metric accuracy(logits, kind);\n    metric size = mean(abs(estimate));");
        format!("{text}{}\n{}", self.held, self.members)
    }

    /// An expression of that shape, of one value for each example; it binds more tightly than any operator.
    fn tree(&mut self, dims: &[usize], depth: usize) -> String {
        if depth == 0 {
            return self.leaf(dims);
        }
        let depth = depth - 1;
        match self.choose(8) {
            0 => self.leaf(dims),
            1 => self.pointwise(dims, depth),
            2 => self.pair(dims, depth),
            3 => self.broadcast(dims, depth),
            4 => self.parts(dims, depth),
            _ => match dims {
                [n] => self.vector(*n, depth),
                [t, n] => self.rows(*t, *n, depth),
                [c, h, w] => self.image(*c, *h, *w, depth),
                _ => self.leaf(dims),
            },
        }
    }

    /// Such an expression as a name, for it is mentioned more than once.
    fn bound(&mut self, dims: &[usize], depth: usize) -> String {
        let value = self.tree(dims, depth);
        if self.values.iter().any(|named| named.name == value) {
            return value;
        }
        let name = self.name("b");
        let _ = writeln!(self.members, "    {name} = {value};");
        self.values.push(Named { name: name.clone(), dims: dims.to_vec() });
        name
    }

    /// A value that has a name, or what a fully connected layer makes of one.
    fn leaf(&mut self, dims: &[usize]) -> String {
        let same: Vec<String> = self.values.iter().filter(|v| v.dims == dims).map(|v| v.name.clone()).collect();
        if !same.is_empty() && self.choose(4) != 3 {
            return same[self.choose(same.len())].clone();
        }
        if let ([t, n], 0) = (dims, self.choose(2))
            && *t == self.time
        {
            let table = self.param(&[7, *n]);
            return format!("gather({table}, words)");
        }
        let place = self.choose(self.values.len());
        let from = self.values[place].clone();
        let flat = if from.dims.len() == 1 { from.name } else { format!("flatten({})", from.name) };
        match dims {
            [n] => format!("dense({flat}, {n})"),
            _ => format!("reshape(dense({flat}, {}), {})", size(dims), list(dims)),
        }
    }

    fn param(&mut self, dims: &[usize]) -> String {
        let name = self.name("p");
        let _ = writeln!(self.held, "    param {name}: {} = normal(0, 0.5);", list(dims));
        name
    }

    fn pointwise(&mut self, dims: &[usize], depth: usize) -> String {
        let x = self.bound(dims, depth);
        match self.choose(12) {
            0 => format!("tanh({x})"),
            1 => format!("sigmoid({x})"),
            2 => format!("relu({x})"),
            3 => format!("sin({x})"),
            4 => format!("softplus({x})"),
            5 => format!("(-{x})"),
            6 => format!("bell({x}, k: 0.3)"),
            7 => format!("sqrt({x} ^ 2 + 0.5)"),
            8 => format!("erf({x})"),
            9 => format!("log(1.5 + abs({x}))"),
            10 => format!("(if training {{ {x} }} else {{ {x} * 0.9 }})"),
            _ => format!("tanh({x} ^ 3 - 0.5 * {x})"),
        }
    }

    fn pair(&mut self, dims: &[usize], depth: usize) -> String {
        let (a, b) = (self.bound(dims, depth), self.bound(dims, depth));
        match self.choose(8) {
            0 => format!("({a} + {b})"),
            1 => format!("({a} - {b})"),
            2 => format!("({a} * sigmoid({b}))"),
            3 => format!("({a} / (1 + {b} ^ 2))"),
            4 => format!("max({a}, {b})"),
            5 => format!("min({a}, {b})"),
            6 => format!("where({a} > {b}, {b}, tanh({a}))"),
            _ => format!("(0.3 * {a} + 0.7 * cos({b}))"),
        }
    }

    /// Something smaller is repeated along axes.
    fn broadcast(&mut self, dims: &[usize], depth: usize) -> String {
        let x = self.bound(dims, depth);
        let axis = self.choose(dims.len());
        let mut one = dims.to_vec();
        one[axis] = 1;
        match self.choose(13) {
            0 => format!("({x} + mean({x}))"),
            1 => format!("({x} * {})", self.param(&one)),
            2 => format!("({x} - mean({x}, over: {axis}))"),
            3 => format!("({x} + stop_gradient({}))", self.tree(&one, depth)),
            4 | 5 => format!("({x} * variance({x}, over: [{axis}]) + {})", self.param(&dims[dims.len() - 1..])),
            6..=8 => format!("softmax({x}, over: {axis})"),
            _ => format!("({x} + {})", self.tree(&one, depth)),
        }
    }

    /// Two parts put together, or one that is cut out.
    fn parts(&mut self, dims: &[usize], depth: usize) -> String {
        let axis = self.choose(dims.len());
        let whole = dims[axis];
        let with = |len: usize| {
            let mut dims = dims.to_vec();
            dims[axis] = len;
            dims
        };
        match self.choose(4) {
            0 if whole > 1 => {
                let left = 1 + self.choose(whole - 1);
                let (a, b) = (self.tree(&with(left), depth), self.tree(&with(whole - left), depth));
                format!("concat({a}, {b}, axis: {axis})")
            }
            1 => {
                let start = self.choose(3);
                let x = self.tree(&with(whole + 2), depth);
                format!("slice({x}, {axis}, start: {start}, len: {whole})")
            }
            2 if whole > 1 => {
                let x = self.tree(&with(whole - 1), depth);
                let (before, after) = if self.choose(2) == 0 { (1, 0) } else { (0, 1) };
                format!("pad({x}, {axis}, before: {before}, after: {after})")
            }
            _ => {
                let (a, b) = (self.name("a"), self.name("b"));
                let x = self.tree(&with(2 * whole), depth);
                let _ = writeln!(self.members, "    {a}, {b} = split({x}, 2, axis: {axis});");
                format!("({a} * tanh({b}))")
            }
        }
    }

    fn vector(&mut self, n: usize, depth: usize) -> String {
        let m = self.size();
        match self.choose(8) {
            0 => format!("dense({}, {n})", self.tree(&[m], depth)),
            1 => format!("({} |> gated({n}))", self.tree(&[m], depth)),
            2 => format!("({} |> repeat 2 {{ dense({n}) |> tanh }})", self.tree(&[m], depth)),
            3 => {
                let layer = self.name("shared");
                let _ = writeln!(self.held, "    shared {layer} = dense({n});");
                let (a, b) = (self.tree(&[m], depth), self.tree(&[m], depth));
                format!("({layer}({a}) - {layer}({b}))")
            }
            4 => {
                let (t, axis) = (self.size(), self.choose(2));
                let dims = if axis == 0 { [t, n] } else { [n, t] };
                format!("reshape(mean({}, over: {axis}), [{n}])", self.tree(&dims, depth))
            }
            5 => format!("({} @ {})", self.tree(&[m], depth), self.tree(&[m, n], depth)),
            6 if n == 2 => format!("({} |> {}Inner)", self.tree(&[2], depth), self.network),
            6 => format!("flatten(mean({}, over: [1, 2]))", self.tree(&[n, 2, 3], depth)),
            _ => format!("({} @ {})", self.tree(&[n, m], depth), self.tree(&[m], depth)),
        }
    }

    fn rows(&mut self, t: usize, n: usize, depth: usize) -> String {
        let m = self.size();
        match self.choose(9) {
            0 => format!("dense({}, {n})", self.tree(&[t, m], depth)),
            1 => format!("transpose({}, [1, 0])", self.tree(&[n, t], depth)),
            2 => format!("({} @ {})", self.tree(&[t, m], depth), self.tree(&[m, n], depth)),
            3 => {
                let (q, k) = (self.tree(&[t, m], depth), self.tree(&[t, m], depth));
                format!("(softmax({q} @ transpose({k}, [1, 0]) / sqrt({m})) @ {})", self.tree(&[t, n], depth))
            }
            4 => format!("reshape({}, [{t}, {n}])", self.tree(&[t * n], depth)),
            5 => format!("({} |> gated({n}, activation: tanh))", self.tree(&[t, m], depth)),
            _ => self.scan(t, n, depth),
        }
    }

    fn image(&mut self, c: usize, h: usize, w: usize, depth: usize) -> String {
        let m = self.size();
        match self.choose(9) {
            0 => format!("conv2d({}, {c}, kernel: 3, padding: 1)", self.tree(&[m, h, w], depth)),
            1 => format!("conv2d({}, {c}, kernel: 1, bias: false)", self.tree(&[m, h, w], depth)),
            2 => format!("conv2d({}, {c}, kernel: 2, stride: 2)", self.tree(&[m, 2 * h, 2 * w], depth)),
            3 => format!("conv2d({}, {c}, kernel: 3, padding: 1, groups: {c})", self.tree(&[c, h, w], depth)),
            4 => format!("max_pool2d({}, 2)", self.tree(&[c, 2 * h, 2 * w + 1], depth)),
            5 => format!("avg_pool2d({}, 3, stride: 1, padding: 1)", self.tree(&[c, h, w], depth)),
            6 => format!("centred({})", self.tree(&[c, h, w], depth)),
            7 => format!("({} + reshape({}, [{c}, 1, 1]))", self.tree(&[c, h, w], depth), self.tree(&[c], depth)),
            _ => format!("transpose({}, [1, 2, 0])", self.tree(&[w, c, h], depth)),
        }
    }

    /// A loop over the rows of a matrix or the channels of an image, bound to a name.
    fn scan(&mut self, t: usize, n: usize, depth: usize) -> String {
        if self.loops == 2 || self.values.is_empty() {
            return self.leaf(&[t, n]);
        }
        let step = if self.choose(3) == 2 { vec![self.size(), 2] } else { vec![self.size()] };
        let sequence = self.tree(&[&[t], &step[..]].concat(), depth);
        let (result, element, carry) = (self.name("s"), self.name("e"), self.name("h"));
        let width = self.size();
        let reversed = if self.choose(3) == 1 { "reversed " } else { "" };
        let until = if self.loops == 0 && t == self.time && self.choose(3) == 1 { "until length " } else { "" };
        let outer = std::mem::take(&mut self.members);
        let known = self.values.len();
        self.loops += 1;
        self.values.push(Named { name: element.clone(), dims: step });
        self.values.push(Named { name: carry.clone(), dims: vec![width] });
        let flat = if self.values[known].dims.len() == 1 { element.clone() } else { format!("flatten({element})") };
        let next = self.tree(&[width], depth);
        let _ =
            writeln!(self.members, "    {carry} = tanh(dense({carry}, {width}) + dense({flat}, {width}) + {next});");
        let yielded = self.tree(&[n], depth);
        let yielded = format!("{yielded} + 0.1 * mean({carry})");
        self.loops -= 1;
        self.values.truncate(known);
        let body = std::mem::replace(&mut self.members, outer);
        let _ = writeln!(
            self.members,
            "    {result} = scan {reversed}{element} in {sequence} with {carry}: [{width}] = 0 {until}{{\n{body}    yield {yielded}\n    }};"
        );
        self.values.push(Named { name: result.clone(), dims: vec![t, n] });
        result
    }
}
