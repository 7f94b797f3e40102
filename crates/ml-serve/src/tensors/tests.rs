use bytes::Bytes;
use ml_core::{ElementType, Tensor};
use ndarray::array;

use super::*;

fn numbers(shape: &[usize], numbers: &[f32]) -> RawTensor {
    RawTensor::numbers(ElementType::F32, shape.to_vec(), as_bytes(numbers.to_vec()))
}

#[test]
fn bytes_are_viewed_in_place_and_copied_only_at_odd_addresses() {
    let tensor = numbers(&[2, 1], &[1.5, -2.0]);
    let Ok(Tensor::F32(view)) = tensor.view() else { unreachable!("it is f32") };
    assert!(view.is_view());
    assert_eq!(view, array![[1.5_f32], [-2.0]].into_dyn());

    let mut odd = vec![0_u8; 9];
    let start = usize::from(odd.as_ptr().cast::<f32>().is_aligned());
    odd[start..start + 8].copy_from_slice(&[0, 0, 192, 63, 0, 0, 0, 192]);
    let odd = RawTensor::numbers(ElementType::F32, vec![2, 1], Bytes::from(odd).slice(start..start + 8));
    assert_eq!(odd.view(), tensor.view());
}

#[test]
fn what_does_not_fill_its_shape_or_is_no_bool_is_an_error() {
    for (element, shape, bytes) in [
        (ElementType::F32, vec![2], &[0_u8; 4][..]),
        (ElementType::F32, vec![1], &[0; 3]),
        (ElementType::Bool, vec![2], &[1, 2]),
        (ElementType::String, vec![1], &[0; 1]),
    ] {
        let tensor = RawTensor::numbers(element, shape, Bytes::copy_from_slice(bytes));
        assert!(tensor.view().is_err(), "{tensor:?}");
    }
}

#[test]
fn rows_are_taken_and_put_together_again() {
    let texts: Vec<Vec<u8>> = vec![b"a".to_vec(), vec![0], vec![255]];
    let all =
        Tensors([numbers(&[3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), RawTensor::texts(vec![3], texts)].into());
    let parts = vec![all.slice(0..1), all.slice(1..1), all.slice(1..3)];
    assert_eq!(parts.iter().map(Tensors::rows).collect::<Vec<_>>(), [1, 0, 2]);
    for (index, whole) in all.0.iter().enumerate() {
        let pieces: Vec<_> = parts.iter().map(|part| &part.0[index]).collect();
        assert_eq!(join(&pieces).as_deref(), Ok(whole));
    }
    assert_eq!(joined(parts), all);
}

#[test]
fn tensors_that_differ_are_not_put_together() {
    let number = numbers(&[1], &[1.0]);
    let other = RawTensor::numbers(ElementType::I32, vec![1], Bytes::from_static(&[0; 4]));
    assert!(join(&[&number, &other]).is_err());
    assert!(join(&[&number, &numbers(&[1, 1], &[1.0])]).is_err());
    assert!(join(&[]).is_err());
}
