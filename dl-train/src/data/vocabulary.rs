//! Vocabularies: words, characters or names of categories enter, indices leave, and the other way round.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::fitted::place;
use super::{DataError, Fitted, FittedState, Place};

/// Words with an index each, and perhaps index 0 for all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    words: Vec<String>,
    indices: BTreeMap<String, u32>,
    unknown: bool,
}

/// What stands for a word that is not in the vocabulary.
const UNKNOWN: &str = "<unknown>";

impl Vocabulary {
    /// Index 0 for unknown words, then those that occur at least `times` times in the training part, the most frequent
    /// first and words of one frequency by the alphabet; `most` indices in all, at least 1.
    pub fn fit<W: AsRef<str>>(
        words: impl IntoIterator<Item = W>,
        most: usize,
        times: usize,
    ) -> Result<Self, DataError> {
        if most == 0 {
            return Err(DataError::setting("most", "at least 1", most));
        }
        let mut counts = BTreeMap::<String, usize>::new();
        for word in words {
            match counts.get_mut(word.as_ref()) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(word.as_ref().to_owned(), 1);
                }
            }
        }
        let mut counts: Vec<(String, usize)> = counts.into_iter().filter(|(_, count)| *count >= times).collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let known = counts.into_iter().map(|(word, _)| word).filter(|word| word != UNKNOWN).take(most - 1);
        Ok(Self::new(std::iter::once(UNKNOWN.to_owned()).chain(known).collect(), true))
    }

    /// The names of categories in the order of the alphabet, none of them unknown: at least one.
    pub fn categories<W: AsRef<str>>(names: impl IntoIterator<Item = W>) -> Result<Self, DataError> {
        let names: std::collections::BTreeSet<String> =
            names.into_iter().map(|name| name.as_ref().to_owned()).collect();
        if names.is_empty() {
            return Err(DataError::Empty { place: Place::of("the training part").boxed(), what: "category" });
        }
        Ok(Self::new(names.into_iter().collect(), false))
    }

    fn new(words: Vec<String>, unknown: bool) -> Self {
        let indices = words.iter().cloned().zip(0..).collect();
        Self { words, indices, unknown }
    }

    /// How many indices there are; at least 1.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The index of a word. For one that is not known it is 0, or `None` in a vocabulary of categories.
    pub fn index(&self, word: &str) -> Option<u32> {
        self.indices.get(word).copied().or(self.unknown.then_some(0))
    }

    /// The word of an index; `<unknown>` for that of unknown words.
    pub fn word(&self, index: u32) -> Option<&str> {
        self.words.get(index as usize).map(String::as_str)
    }

    /// The indices of the first `T` words, and how many there are; index 0 stands behind the end of a shorter text.
    /// An unknown category is an error.
    pub fn encode<const T: usize, W: AsRef<str>>(
        &self,
        words: impl IntoIterator<Item = W>,
    ) -> Result<([u32; T], u32), DataError> {
        let mut indices = [0; T];
        let mut length = 0;
        for ((to, word), example) in indices.iter_mut().zip(words).zip(0..) {
            *to = self.index(word.as_ref()).ok_or_else(|| {
                let place = Place::of("the text").example(example);
                DataError::format(&place, "a known category", format!("`{}`", word.as_ref()))
            })?;
            length += 1;
        }
        Ok((indices, length))
    }

    /// The index of each word, such as the labels of a column of names. An unknown category is an error that names
    /// its place.
    pub fn labels<W: AsRef<str>>(&self, words: impl IntoIterator<Item = W>) -> Result<Vec<u32>, DataError> {
        let one = |(example, word): (usize, W)| {
            self.index(word.as_ref()).ok_or_else(|| {
                let place = Place::of("the labels").example(example);
                DataError::format(&place, "a known category", format!("`{}`", word.as_ref()))
            })
        };
        words.into_iter().enumerate().map(one).collect()
    }
}

impl Fitted for Vocabulary {
    const KIND: &'static str = "vocabulary";

    fn to_state(&self) -> FittedState {
        FittedState::new(Self::KIND, [("unknown", json!(self.unknown)), ("words", json!(self.words))], [])
    }

    fn from_state(state: &FittedState) -> Result<Self, DataError> {
        let metadata = state.metadata(Self::KIND)?;
        let wrong = || DataError::format(&place(), "`unknown` and a list of different `words`", "something else");
        let unknown = metadata.get("unknown").and_then(Value::as_bool).ok_or_else(wrong)?;
        let words = metadata.get("words").and_then(Value::as_array).ok_or_else(wrong)?;
        let words = words.iter().map(|word| word.as_str().map(str::to_owned).ok_or_else(wrong));
        let vocabulary = Self::new(words.collect::<Result<_, _>>()?, unknown);
        let complete = !vocabulary.words.is_empty() && vocabulary.indices.len() == vocabulary.words.len();
        if complete { Ok(vocabulary) } else { Err(wrong()) }
    }
}

/// The words of a text, in small letters: runs of letters, digits and apostrophes.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let parts = text.split(|c: char| !(c.is_alphanumeric() || c == '\''));
    parts.filter(|word| word.contains(char::is_alphanumeric)).map(str::to_lowercase)
}

/// The characters of a text, one string each.
pub fn characters(text: &str) -> impl Iterator<Item = String> {
    text.chars().map(String::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "It's the cat; the Dog, the 2 dogs.";

    #[test]
    fn words_by_frequency() {
        let found: Vec<String> = words(TEXT).collect();
        assert_eq!(found, ["it's", "the", "cat", "the", "dog", "the", "2", "dogs"]);
        let vocabulary = Vocabulary::fit(words(TEXT), 4, 1).unwrap();
        assert_eq!(
            (0..5).map(|i| vocabulary.word(i)).collect::<Vec<_>>(),
            [Some("<unknown>"), Some("the"), Some("2"), Some("cat"), None]
        );
        assert_eq!(vocabulary.encode::<4, _>(words("The cat sat")).unwrap(), ([1, 3, 0, 0], 3));
        assert_eq!(vocabulary.encode::<1, _>(words("cat the")).unwrap(), ([3], 1));
        assert_eq!(Vocabulary::fit(words(TEXT), 9, 2).unwrap().len(), 2);
        assert_eq!(Vocabulary::fit(words(TEXT), 0, 2).unwrap_err().to_string(), "`most` is 0, expected at least 1");
        assert_eq!(
            Vocabulary::fit(characters("abba b"), 9, 1).unwrap().labels(characters("ab c")).unwrap(),
            [2, 1, 3, 0]
        );
    }

    #[test]
    fn categories_are_known() {
        let colors = Vocabulary::categories(["red", "blue", "red"]).unwrap();
        assert_eq!(colors.labels(["red", "blue"]).unwrap(), [1, 0]);
        assert_eq!(colors.index("green"), None);
        let message = colors.labels(["red", "green"]).unwrap_err().to_string();
        assert_eq!(message, "the labels, example 1: expected a known category, found `green`");
        assert!(Vocabulary::categories::<&str>([]).is_err());
    }

    #[test]
    fn broken_states_are_errors() {
        let state = |metadata: &str| FittedState { metadata: metadata.to_owned(), tensors: vec![] };
        for metadata in [
            r#"{"kind":"vocabulary"}"#,
            r#"{"kind":"vocabulary","unknown":true,"words":[]}"#,
            r#"{"kind":"vocabulary","unknown":true,"words":["a",1]}"#,
            r#"{"kind":"vocabulary","unknown":true,"words":["a","a"]}"#,
            r#"{"kind":"vocabulary","unknown":2,"words":["a"]}"#,
        ] {
            assert!(Vocabulary::from_state(&state(metadata)).unwrap_err().to_string().contains("`words`"));
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_restored(all in proptest::collection::vec(".{0,4}", 1..20), most in 1_usize..20) {
            for vocabulary in [Vocabulary::fit(&all, most, 1).unwrap(), Vocabulary::categories(&all).unwrap()] {
                prop_assert_eq!(&Vocabulary::from_state(&vocabulary.to_state()).unwrap(), &vocabulary);
                for index in 0..vocabulary.len() as u32 {
                    prop_assert_eq!(vocabulary.index(vocabulary.word(index).unwrap()), Some(index));
                }
            }
        }
    }
}
