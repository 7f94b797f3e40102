//! Texts to and from ONNX Runtime's values, byte for byte: a zero does not end them, and they need not be UTF-8.
//!
//! `ort` goes through C strings on the way in and through UTF-8 on the way out, hence the calls of our own.

use std::ffi::c_char;
use std::ptr;

use ort::AsPointer;
use ort::error::Error;
use ort::value::{DynValue, Tensor};

/// Makes a value that owns copies of the texts.
pub(super) fn value(shape: &[usize], texts: &[Vec<u8>]) -> ort::Result<Tensor<String>> {
    let empty = vec![""; texts.len()];
    let mut value = Tensor::from_string_array((shape, &*empty))?;
    for (index, text) in texts.iter().enumerate() {
        let mut room: *mut c_char = ptr::null_mut();
        // SAFETY: the value is a tensor of `texts.len()` strings that nobody else knows, so `index` is inside it. On success
        // `room` points to the element's own memory, resized to `text.len()` bytes, which stays until it is resized again.
        unsafe {
            let resize = ort::api().GetResizedStringTensorElementBuffer;
            Error::result_from_status(resize(value.ptr_mut(), index, text.len(), &mut room))?;
        }
        if !text.is_empty() && !room.is_null() {
            // SAFETY: `room` has `text.len()` bytes (above), and memory that was just allocated does not overlap `text`.
            unsafe { ptr::copy_nonoverlapping(text.as_ptr(), room.cast(), text.len()) };
        }
    }
    Ok(value)
}

/// Reads the sizes and the texts of a tensor of strings.
pub(super) fn read(value: &DynValue) -> ort::Result<(Vec<i64>, Vec<Vec<u8>>)> {
    let shape = value.shape().to_vec();
    let count = shape.iter().map(|size| usize::try_from(*size).unwrap_or(0)).product();
    let mut bytes = 0;
    // SAFETY: the caller found the value to be a tensor of strings; the length is written to a number of ours.
    unsafe {
        let length = ort::api().GetStringTensorDataLength;
        Error::result_from_status(length(value.ptr(), &mut bytes))?;
    }
    let (mut content, mut starts) = (vec![0_u8; bytes], vec![0_usize; count]);
    // SAFETY: `content` and `starts` have the lengths that are passed along, and live until the call returns.
    unsafe {
        let read = ort::api().GetStringTensorContent;
        let (content, starts) = (content.as_mut_ptr().cast(), starts.as_mut_ptr());
        Error::result_from_status(read(value.ptr(), content, bytes, starts, count))?;
    }
    let ends = starts.iter().skip(1).copied().chain([bytes]);
    let text = |(start, end): (&usize, usize)| content.get(*start..end).map(<[u8]>::to_vec);
    let texts: Option<_> = starts.iter().zip(ends).map(text).collect();
    let texts = texts.ok_or_else(|| Error::new("texts that overlap"))?;
    Ok((shape, texts))
}
