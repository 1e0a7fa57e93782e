//! Data of training: files and arrays enter; sets of examples leave, drawn by position, batch after batch.
//!
//! - Sources: [`Table`] (comma-separated values), [`read_idx`] (MNIST and its relatives), [`read_npy`] and
//!   [`read_npz`], [`ImageFolder`], [`read_wav`] with [`Frames`]; arrays of any rank are an [`Array`].
//! - Sets: a [`Dataset`] gives examples by position; [`Subset`], [`Augmented`], [`Mixup`] and [`Weighted`] stand
//!   before another one, [`FromFn`] makes examples on demand. A [`Loader`] makes batches ahead of the step.
//! - Balance: [`class_counts`], [`over_sample`], [`under_sample`], [`class_weights`], [`example_weights`].
//! - Preprocessing, [`Fitted`] on the training part: [`Standardizer`](crate::Standardizer), [`MinMax`], [`Buckets`],
//!   [`Vocabulary`]; and [`one_hot`].
//! - Augmentation: [`ImageAugmentation`], [`SoundAugmentation`], and the functions they are made of.
//!
//! Splits are in [`split`](crate::split). Features of the crate leave readers out that are not needed: `audio`,
//! `csv`, `image`, `npy`.

mod array;
#[cfg(feature = "audio")]
mod audio;
mod augment;
#[cfg(feature = "csv")]
mod csv;
mod dataset;
mod error;
mod fitted;
mod idx;
#[cfg(feature = "image")]
mod images;
mod loader;
#[cfg(feature = "npy")]
mod npy;
pub(crate) mod random;
mod sampling;
#[cfg(test)]
mod testing;
mod vocabulary;

pub use array::{Array, Shaped};
#[cfg(feature = "audio")]
pub use audio::{FrameOptions, Frames, fit_frames, parse_wav, read_wav};
pub use augment::{
    ImageAugmentation, SoundAugmentation, add_noise, crop, cutout, flip_horizontal, flip_vertical, gain, mix, shift,
    shift_samples, time_mask, transform,
};
#[cfg(feature = "csv")]
pub use csv::{CsvOptions, Fill, Table};
pub use dataset::{Augmented, Dataset, FromFn, Mixup, Subset, Weighted, collect};
pub use error::{DataError, Place};
pub use fitted::{Buckets, Fitted, FittedState, FittedTensor, MinMax, one_hot};
pub use idx::{IdxElement, parse_idx, read_idx};
#[cfg(feature = "image")]
pub use images::{ImageFolder, parse_image};
pub use loader::{Loader, Minibatch};
#[cfg(feature = "npy")]
pub use npy::{parse_npy, parse_npz, read_npy, read_npz};
pub use random::ExampleRng;
pub use sampling::{class_counts, class_weights, example_weights, over_sample, under_sample};
pub use vocabulary::{Vocabulary, characters, words};
