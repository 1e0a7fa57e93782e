//! Images in class folders: a folder with one folder of PNG and JPEG files for each class enters; tensors of grey or
//! colour values from 0 to 1, and labels, leave.
//!
//! ```text
//! pets/cat/1.png   pets/cat/2.jpg   pets/dog/1.png      classes: 0 cat, 1 dog
//! ```

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use ::image::{DynamicImage, ImageReader, Limits, imageops::FilterType};

use super::{DataError, Place};

/// No image is wider or higher, and none takes more bytes while it is decoded.
const MOST_PIXELS: u32 = 1 << 14;
const MOST_BYTES: u64 = 1 << 29;

/// The files of class folders; each image is read when it is asked for.
#[derive(Debug, Clone)]
pub struct ImageFolder {
    classes: Vec<String>,
    files: Vec<(PathBuf, u32)>,
    resize: bool,
}

impl ImageFolder {
    /// Lists the class folders of `root` and their files, both in the order of their names, so that it is the same
    /// everywhere. Hidden files are left out; every other file must be named `.png`, `.jpg` or `.jpeg`.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, DataError> {
        let root = root.as_ref();
        let (mut classes, mut files) = (Vec::new(), Vec::new());
        for folder in entries(root)? {
            if !folder.is_dir() {
                continue;
            }
            let label = classes.len() as u32;
            classes.push(name(&folder));
            let images = entries(&folder)?;
            if images.is_empty() {
                return Err(DataError::Empty { place: Place::of(&folder).boxed(), what: "image" });
            }
            for path in images {
                let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
                if !matches!(ending.as_deref(), Some("png" | "jpg" | "jpeg")) {
                    let found = format!("`{}`", name(&path));
                    return Err(DataError::format(&Place::of(&folder), "files `.png`, `.jpg` or `.jpeg`", found));
                }
                files.push((path, label));
            }
        }
        if classes.is_empty() {
            return Err(DataError::Empty { place: Place::of(root).boxed(), what: "class folder" });
        }
        Ok(Self { classes, files, resize: false })
    }

    /// Scales images of another size to the one asked for, by averaging or linear interpolation, whatever their
    /// proportions. Without it such an image is an error.
    pub fn resize(mut self) -> Self {
        self.resize = true;
        self
    }

    /// How many images there are; at least 1.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Never: a folder without images is an error of [`ImageFolder::open`].
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The names of the classes, by label.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The label of each image.
    pub fn labels(&self) -> Vec<u32> {
        self.files.iter().map(|&(_, label)| label).collect()
    }

    /// Reads the image at `position`: `C` is 1 for grey or 3 for red, green and blue; transparency is dropped. This is
    /// what a [`FromFn`](super::FromFn) calls for sets that are larger than memory.
    pub fn image<const C: usize, const H: usize, const W: usize>(
        &self,
        position: usize,
    ) -> Result<[[[f32; W]; H]; C], DataError> {
        let Some((path, _)) = self.files.get(position) else {
            let len = self.files.len();
            return Err(dl_runtime::InputError::PositionOutOfRange { len, found: position }.into());
        };
        let bytes = fs::read(path).map_err(|error| DataError::read(path, error))?;
        parse_image(path, &bytes, self.resize)
    }

    /// Reads all images.
    pub fn images<const C: usize, const H: usize, const W: usize>(&self) -> Result<Vec<[[[f32; W]; H]; C]>, DataError> {
        (0..self.len()).map(|position| self.image(position)).collect()
    }
}

/// Decodes the bytes of a PNG or JPEG file into channels of rows; errors name `source`.
pub fn parse_image<const C: usize, const H: usize, const W: usize>(
    source: impl AsRef<Path>,
    bytes: &[u8],
    resize: bool,
) -> Result<[[[f32; W]; H]; C], DataError> {
    let place = Place::of(source);
    if !matches!(C, 1 | 3) {
        return Err(DataError::setting("channels", "1 or 3", C));
    }
    let unreadable =
        |error: &dyn std::fmt::Display| DataError::format(&place, "a PNG or JPEG image", error.to_string());
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|error| unreadable(&error))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_PIXELS), Some(MOST_PIXELS));
    limits.max_alloc = Some(MOST_BYTES);
    reader.limits(limits);
    let mut image = reader.decode().map_err(|error| unreadable(&error))?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    if (height, width) != (H, W) {
        let sizes = u32::try_from(H).ok().zip(u32::try_from(W).ok()).filter(|(h, w)| *h.max(w) <= MOST_PIXELS);
        let Some((h, w)) = sizes.filter(|_| resize) else {
            return Err(DataError::Shape { place: place.boxed(), expected: vec![H, W], found: vec![height, width] });
        };
        image = image.resize_exact(w, h, FilterType::Triangle);
    }
    Ok(tensor(&image))
}

fn tensor<const C: usize, const H: usize, const W: usize>(image: &DynamicImage) -> [[[f32; W]; H]; C] {
    let mut tensor = [[[0.0; W]; H]; C];
    let values = if C == 1 { grey(image) } else { image.to_rgb32f().into_raw() };
    for (pixel, values) in values.chunks_exact(C).enumerate() {
        for (channel, &value) in tensor.iter_mut().zip(values) {
            if let Some(to) = channel.as_flattened_mut().get_mut(pixel) {
                *to = value;
            }
        }
    }
    tensor
}

/// Grey values in 16 bits, which hold those of 8 exactly.
fn grey(image: &DynamicImage) -> Vec<f32> {
    image.to_luma16().into_raw().into_iter().map(|grey| f32::from(grey) / 65_535.0).collect()
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let unreadable = |error| DataError::read(folder, error);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if !name(&path).starts_with('.') {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::image::{GrayImage, ImageFormat, RgbImage, RgbaImage};
    use proptest::prelude::*;

    fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
        encoded(image, ImageFormat::Png)
    }

    #[test]
    fn pixels_become_channels_of_rows() {
        let grey = GrayImage::from_raw(3, 2, vec![0, 51, 102, 153, 204, 255]).unwrap();
        let image = parse_image::<1, 2, 3>("g", &png(grey), false).unwrap();
        assert_eq!(image, [[[0.0, 0.2, 0.4], [0.6, 0.8, 1.0]]]);
        let colors = RgbImage::from_raw(2, 1, vec![255, 0, 51, 0, 102, 255]).unwrap();
        let image = parse_image::<3, 1, 2>("c", &png(colors), false).unwrap();
        assert_eq!(image, [[[1.0, 0.0]], [[0.0, 0.4]], [[0.2, 1.0]]]);
        // Transparency is dropped; grey as three channels is the same in each.
        let clear = RgbaImage::from_raw(1, 1, vec![51, 102, 204, 0]).unwrap();
        assert_eq!(parse_image::<3, 1, 1>("t", &png(clear), false).unwrap(), [[[0.2]], [[0.4]], [[0.8]]]);
        // JPEG keeps a plain surface, to a step or two.
        let plain = encoded(RgbImage::from_pixel(16, 8, [200, 100, 50].into()), ImageFormat::Jpeg);
        let [red, green, blue] = parse_image::<3, 8, 16>("j", &plain, false).unwrap();
        for (channel, expected) in [(red, 200.0), (green, 100.0), (blue, 50.0)] {
            assert!(channel.as_flattened().iter().all(|x| (x * 255.0 - expected).abs() < 3.0), "{channel:?}");
        }
    }

    #[test]
    fn other_sizes_are_errors_or_scaled() {
        let grey = png(GrayImage::from_pixel(4, 6, [51].into()));
        let error = parse_image::<1, 3, 2>("x.png", &grey, false).unwrap_err();
        assert_eq!(error.to_string(), "x.png: expected the shape [3, 2], found [6, 4]");
        let small = parse_image::<1, 3, 2>("x.png", &grey, true).unwrap();
        assert!(small.as_flattened().as_flattened().iter().all(|x| (x - 0.2).abs() < 1e-6), "{small:?}");
        let error = parse_image::<2, 3, 2>("x.png", &grey, true).unwrap_err();
        assert_eq!(error.to_string(), "`channels` is 2, expected 1 or 3");
    }

    #[test]
    fn folders_are_classes() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let open = || ImageFolder::open(root.path());
        assert!(open().unwrap_err().to_string().ends_with("is empty, expected at least 1 class folder"));
        for (path, grey) in [("dog/b.PNG", 51), ("dog/a.png", 102), ("cat/z.png", 255)] {
            put(path, &png(GrayImage::from_pixel(2, 2, [grey].into())));
        }
        put("dog/.hidden", b"");
        put("notes.txt", b"");
        let folder = open().unwrap();
        assert_eq!((folder.classes(), folder.labels()), (&["cat".to_owned(), "dog".to_owned()][..], vec![0, 1, 1]));
        let images = folder.images::<1, 2, 2>().unwrap();
        assert_eq!(images.iter().map(|image| image[0][1][1]).collect::<Vec<_>>(), [1.0, 0.4, 0.2]);
        assert!(folder.image::<1, 2, 2>(3).is_err());

        put("cat/broken.png", &png(GrayImage::new(2, 2))[..40]);
        let error = open().unwrap().images::<1, 2, 2>().unwrap_err().to_string();
        assert!(error.contains("cat/broken.png: expected a PNG or JPEG image, found "), "{error}");
        put("cat/list.txt", b"");
        let error = open().unwrap_err().to_string();
        assert!(error.ends_with("cat: expected files `.png`, `.jpg` or `.jpeg`, found `list.txt`"), "{error}");
        fs::create_dir(root.path().join("bird")).unwrap();
        assert!(open().unwrap_err().to_string().ends_with("bird is empty, expected at least 1 image"));
        assert!(ImageFolder::open(root.path().join("none")).unwrap_err().to_string().contains("could not be read"));
    }

    /// A header may announce any size; nothing of it is stored.
    #[test]
    fn hostile_sizes_are_refused() {
        let mut bytes = png(GrayImage::new(2, 2));
        bytes[16..24].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff]);
        let measured = allocation_counter::measure(|| assert!(parse_image::<1, 2, 2>("x", &bytes, true).is_err()));
        assert!(measured.bytes_max < 1 << 20, "{} bytes", measured.bytes_max);
    }

    proptest! {
        #[test]
        fn arbitrary_and_damaged_bytes_never_panic(
            bytes: Vec<u8>, at in 0_usize..400, byte: u8, end in 0_usize..700, jpeg: bool,
        ) {
            let _ = parse_image::<1, 2, 2>("x", &bytes, true);
            let format = if jpeg { ImageFormat::Jpeg } else { ImageFormat::Png };
            let mut whole = encoded(RgbImage::from_fn(9, 7, |x, y| [x as u8 * 28, y as u8 * 30, 9].into()), format);
            let at = at % whole.len();
            whole[at] = byte;
            let _ = parse_image::<3, 7, 9>("x", &whole, true);
            let _ = parse_image::<3, 7, 9>("x", &whole[..end.min(whole.len())], true);
        }
    }
}
