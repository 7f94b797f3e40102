//! Operators of our own ([`ml_onnx::operators`]), given to each session: what ONNX Runtime calls when a model has them.

mod attention;
mod int8_linear;
mod linear;
#[cfg(unix)]
mod rows;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ml_kernels::{Activation, Arena, FloatLinear, Int8Linear, LinearError};
use ml_onnx::operators::DOMAIN;
use ort::Error;
use ort::operator::{ComputeContext, KernelContext, OperatorDomain};
use ort::value::{DynTensorValueType, PrimitiveTensorElementType, ValueRef};

use self::attention::Attention;
use self::int8_linear::Int8;
use self::linear::Linear;

/// The operators of the sessions of one model: what they pack of the weights, they share.
pub struct Operators {
    int8_linears: Shared<Int8Linear>,
    linears: Shared<FloatLinear>,
}

impl Operators {
    /// Returns operators that will pack so many bytes of weights.
    pub fn with_weights(bytes: usize) -> Self {
        let arena = Arc::new(Mutex::new(Arena::with_capacity(bytes)));
        Self { int8_linears: Shared::new(&arena), linears: Shared::new(&arena) }
    }

    /// Returns the operators for sessions of so many threads, on a model in `folder`.
    pub fn domain(&self, threads: usize, folder: &Path) -> ort::Result<OperatorDomain> {
        let domain = OperatorDomain::new(DOMAIN)?
            .add(Linear { threads, packed: self.linears.clone() })?
            .add(Int8 { threads, packed: self.int8_linears.clone() })?
            .add(Attention { threads })?;
        #[cfg(unix)]
        let domain = domain.add(rows::Rows { folder: folder.to_owned() })?;
        #[cfg(not(unix))]
        let _ = folder;
        Ok(domain)
    }
}

/// Things that are made once and live as long as one of their users.
struct Shared<T> {
    made: Arc<Mutex<HashMap<u64, Weak<T>>>>,
    arena: Arc<Mutex<Arena>>,
}

impl<T> Shared<T> {
    fn new(arena: &Arc<Mutex<Arena>>) -> Self {
        Self { made: Arc::default(), arena: Arc::clone(arena) }
    }

    /// Returns what was made of a content before, or makes it while others wait.
    fn get(
        &self,
        content: u64,
        make: impl FnOnce(&mut Arena) -> Result<T, LinearError>,
    ) -> ort::Result<Arc<T>> {
        // Whoever panicked while making something has put nothing there.
        let mut shared = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = shared.get(&content).and_then(Weak::upgrade) {
            return Ok(made);
        }
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        let made = Arc::new(make(&mut arena).map_err(refused)?);
        shared.insert(content, Arc::downgrade(&made));
        Ok(made)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self { made: Arc::clone(&self.made), arena: Arc::clone(&self.arena) }
    }
}

/// Computes shares of a node's work, each on a thread of the session.
fn each_share<T: Send>(
    context: &ComputeContext,
    shares: Vec<T>,
    compute: impl Fn(&mut T) -> Result<(), LinearError> + Sync,
) -> ort::Result<()> {
    let shares: Vec<_> = shares.into_iter().map(|share| Mutex::new((share, Ok(())))).collect();
    context.par_for(shares.len(), 0, |at| {
        // Each share is taken once; who panicked with one in hand has failed the whole run.
        let (share, result) = &mut *shares[at].lock().unwrap_or_else(PoisonError::into_inner);
        *result = compute(share);
    })?;
    shares.into_iter().try_for_each(|share| {
        let (_, result) = share.into_inner().unwrap_or_else(PoisonError::into_inner);
        result.map_err(refused)
    })
}

/// What a kernel says, as ONNX Runtime passes it on.
fn refused(error: LinearError) -> Error {
    Error::new(error.to_string())
}

type Constant<'a> = ValueRef<'a, DynTensorValueType>;

/// Returns the numbers of a constant, none where it is left out.
fn numbers<'a, T: PrimitiveTensorElementType>(constant: Option<&'a Constant<'_>>) -> ort::Result<&'a [T]> {
    constant.map_or(Ok(&[]), |constant| Ok(constant.try_extract_tensor()?.1))
}

fn unsigned(numbers: &[i64]) -> ort::Result<Vec<usize>> {
    let unsigned =
        |number: &i64| usize::try_from(*number).map_err(|_| Error::new(format!("there is no {number}")));
    numbers.iter().map(unsigned).collect()
}

/// Returns the sizes before the last, of rows that must be of so many numbers.
fn leading(shape: &[i64], width: usize) -> ort::Result<&[i64]> {
    let rows = shape.split_last().filter(|(last, _)| **last == width as i64);
    let wrong = || Error::new(format!("the rows are {shape:?}, not of {width} numbers"));
    rows.map(|(_, leading)| leading).ok_or_else(wrong)
}

fn activation(node: &KernelContext<'_>) -> ort::Result<Activation> {
    match node.get::<String>("activation").as_deref() {
        None | Some("none") => Ok(Activation::None),
        Some("gelu") => Ok(Activation::Gelu),
        Some(other) => Err(Error::new(format!("there is no activation {other:?}"))),
    }
}
