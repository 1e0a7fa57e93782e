//! Spelling suggestions: a misspelt name and the names there are go in, the nearest one comes out.

/// Longer names are not compared: the work grows with the product of the lengths.
const MAX_LENGTH: usize = 64;

/// The candidate that is nearest to `name` by edit distance (insertions, deletions, replacements, swapped neighbours),
/// if it is near enough to be what was meant: at most one edit in three characters. Letters of the other case count as
/// the same, and the first of equals wins. If none is near, one that has a word in front or behind (`batch` for `batch_size`).
pub fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let letters = |name: &str| -> Vec<char> {
        name.chars().take(MAX_LENGTH + 1).map(|letter| letter.to_ascii_lowercase()).collect()
    };
    let name = letters(name);
    if name.is_empty() || name.len() > MAX_LENGTH {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    let mut with_word = None;
    for candidate in candidates {
        let other = letters(candidate);
        if with_word.is_none() && (has_word(&name, &other) || has_word(&other, &name)) {
            with_word = Some(candidate);
        }
        let allowed = name.len().max(other.len()).div_ceil(3);
        if other.is_empty() || other.len() > MAX_LENGTH || name.len().abs_diff(other.len()) > allowed {
            continue;
        }
        let distance = distance(&name, &other);
        if distance <= allowed && distance < other.len() && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate).or(with_word)
}

/// Whether `longer` is `shorter` with a word before or behind it.
fn has_word(longer: &[char], shorter: &[char]) -> bool {
    const LEAST: usize = 4;
    let is_apart = |place: usize| longer.get(place) == Some(&'_');
    shorter.len() >= LEAST
        && longer.len() > shorter.len()
        && (longer.starts_with(shorter) && is_apart(shorter.len())
            || longer.ends_with(shorter) && is_apart(longer.len() - shorter.len() - 1))
}

/// Optimal string alignment distance (Damerau 1964, without edits between swapped letters).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && from == b[j - 1] && a[i - 1] == to {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_the_published_ones() {
        let cases =
            [("kitten", "sitting", 3), ("saturday", "sunday", 3), ("ca", "abc", 3), ("ab", "ba", 1), ("", "abc", 3)];
        for (a, b, expected) in cases {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            assert_eq!(distance(&a, &b), expected, "{a:?} {b:?}");
            assert_eq!(distance(&b, &a), expected, "{b:?} {a:?}");
        }
    }

    #[test]
    fn only_what_could_be_meant_is_suggested() {
        let names = ["dense", "conv2d", "relu", "elu", "x"];
        assert_eq!(closest("dnese", names), Some("dense"));
        assert_eq!(closest("conv2", names), Some("conv2d"));
        assert_eq!(closest("relo", names), Some("relu"));
        assert_eq!(closest("Relu", ["elu", "relu"]), Some("relu"));
        assert_eq!(closest("DENSE", names), Some("dense"));
        assert_eq!(closest("batch_size", ["epochs", "batch"]), Some("batch"));
        assert_eq!(closest("norm", ["layer_norm", "softmax"]), Some("layer_norm"));
        assert_eq!(closest("batches_a", ["batch"]), None);
        assert_eq!(closest("softmax", names), None);
        assert_eq!(closest("y", names), None);
        assert_eq!(closest("", names), None);
    }

    #[test]
    fn the_first_of_equals_wins() {
        assert_eq!(closest("bat", ["cat", "hat"]), Some("cat"));
        assert_eq!(closest("bat", ["hat", "cat"]), Some("hat"));
    }

    #[test]
    fn long_names_cost_nothing() {
        let long = "a".repeat(1 << 20);
        assert_eq!(closest(&long, [long.as_str(), "a"]), None);
    }
}
