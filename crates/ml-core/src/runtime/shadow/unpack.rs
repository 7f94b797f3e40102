//! The inputs of a packed run as the original takes them: padded.

use ndarray::{Array2, Ix1};

use crate::ModelError;
use crate::runtime::{Signature, Tensor};

/// Where each token stands among the batch × sequence places, and a matrix of that shape (see `ml-onnx`' packed form).
const PACK: &str = "pack";
const UNPACK: &str = "unpack";

/// Lays out what is packed; inputs that are not come back as they are.
///
/// An input that the packed form has no more is zero for every token, which is what let it go.
pub(super) fn padded(
    original: &Signature,
    mut inputs: Vec<(String, Tensor<'static>)>,
) -> Result<Vec<(String, Tensor<'static>)>, ModelError> {
    let find = |name: &str| inputs.iter().find(|(known, _)| known == name).map(|(_, tensor)| tensor);
    let takes = |name: &str| original.inputs.iter().any(|info| info.name == name);
    let (Some(pack), Some(unpack), false) = (find(PACK), find(UNPACK), takes(PACK)) else {
        return Ok(inputs);
    };
    let (places, sizes) = (places(pack)?, sizes(unpack)?);
    original
        .inputs
        .iter()
        .map(|info| {
            let given =
                inputs.iter().position(|(name, _)| *name == info.name).map(|at| inputs.swap_remove(at).1);
            let tensor = match given {
                Some(tensor) if tensor.shape() == sizes => tensor,
                Some(tensor) => laid_out(&info.name, &tensor, &places, sizes)?,
                None => Array2::<i64>::zeros(sizes).into(),
            };
            Ok((info.name.clone(), tensor))
        })
        .collect()
}

fn places(pack: &Tensor<'_>) -> Result<Vec<usize>, ModelError> {
    let wrong = || ModelError::new(format!("the input {PACK} is no vector of places"));
    let Tensor::I64(pack) = pack else { return Err(wrong()) };
    let pack = pack.view().into_dimensionality::<Ix1>().map_err(|_| wrong())?;
    pack.iter().map(|place| usize::try_from(*place).map_err(|_| wrong())).collect()
}

fn sizes(unpack: &Tensor<'_>) -> Result<[usize; 2], ModelError> {
    let sizes = <[usize; 2]>::try_from(unpack.shape());
    sizes.map_err(|_| ModelError::new(format!("the input {UNPACK} is no matrix")))
}

fn laid_out(
    name: &str,
    tokens: &Tensor<'_>,
    places: &[usize],
    sizes: [usize; 2],
) -> Result<Tensor<'static>, ModelError> {
    let wrong = || ModelError::new(format!("the input {name} does not have one number for each place"));
    let Tensor::I64(tokens) = tokens else { return Err(wrong()) };
    if tokens.len() != places.len() {
        return Err(wrong());
    }
    let mut all = vec![0_i64; sizes[0] * sizes[1]];
    for (place, token) in places.iter().zip(tokens.iter()) {
        *all.get_mut(*place).ok_or_else(wrong)? = *token;
    }
    Ok(Array2::from_shape_vec(sizes, all).map_err(|_| wrong())?.into())
}
