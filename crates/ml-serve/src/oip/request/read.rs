//! A request in JSON.

use ml_core::ElementType;

use super::{InferRequest, Input, Sent, WantedOutput};
use crate::oip::json::{JsonError, Scanner};
use crate::oip::parameters::{self, Value};
use crate::oip::regions::Named;
use crate::oip::{Refusal, datatype};
use crate::tensors::Data;

/// Why the JSON of a request is no request.
enum Broken {
    Json(JsonError),
    Refused(Refusal),
}

impl From<JsonError> for Broken {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

impl From<Refusal> for Broken {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Broken {
    /// Says which member of the request has the wrong type.
    fn within(self, member: &str) -> Self {
        match self {
            Self::Json(error @ JsonError::Type { .. }) => {
                Self::Refused(Refusal::invalid(format!("Unable to parse '{member}': {error}")))
            }
            other => other,
        }
    }

    fn missing(member: &str) -> Self {
        Self::Refused(Refusal::invalid(format!(
            "Unable to parse '{member}': attempt to access non-existing object member '{member}'"
        )))
    }
}

impl From<Broken> for Refusal {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Json(error) => Self::invalid(format!("failed to parse the request JSON buffer: {error}")),
            Broken::Refused(refusal) => refusal,
        }
    }
}

impl InferRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// Says what is no JSON, is missing, or is of the wrong type.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let (mut request, mut has_inputs) = (Self::default(), false);
        let mut scanner = Scanner::new(json);
        let read = members(&mut scanner, |scanner, name| {
            has_inputs |= name == "inputs";
            request.take(scanner, name)
        });
        read?;
        scanner.end().map_err(Broken::from)?;
        if has_inputs { Ok(request) } else { Err(Broken::missing("inputs").into()) }
    }

    fn take(&mut self, scanner: &mut Scanner<'_>, name: &str) -> Result<(), Broken> {
        match name {
            "id" if !is_null(scanner)? => self.id = scanner.string()?.into_owned(),
            "parameters" if !is_null(scanner)? => {
                each_parameter(scanner, |name, value| self.parameters.take(name, &value))?;
            }
            "inputs" => scanner.array(|scanner| {
                self.inputs.push(input(scanner)?);
                Ok::<_, Broken>(())
            })?,
            "outputs" if !is_null(scanner)? => scanner.array(|scanner| {
                self.outputs.push(output(scanner)?);
                Ok::<_, Broken>(())
            })?,
            "id" | "parameters" | "outputs" => {}
            _ => scanner.skip()?,
        }
        Ok(())
    }
}

/// Reads an object's members; an error of type says which one it was.
fn members(
    scanner: &mut Scanner<'_>,
    mut member: impl FnMut(&mut Scanner<'_>, &str) -> Result<(), Broken>,
) -> Result<(), Broken> {
    scanner.object(|scanner, name| member(scanner, name).map_err(|broken| broken.within(name)))
}

/// Skips a null, which stands for a member that is not there.
fn is_null(scanner: &mut Scanner<'_>) -> Result<bool, JsonError> {
    let is_null = scanner.peek() == Some(b'n');
    if is_null {
        scanner.skip()?;
    }
    Ok(is_null)
}

fn each_parameter(
    scanner: &mut Scanner<'_>,
    mut take: impl FnMut(&str, Value) -> Result<(), Refusal>,
) -> Result<(), Broken> {
    members(scanner, |scanner, name| Ok(take(name, parameters::value(scanner)?)?))
}

/// What was read of an input so far.
#[derive(Default)]
struct Partial<'a> {
    name: Option<String>,
    datatype: Option<String>,
    /// The type of that name, where it is one.
    element: Option<ElementType>,
    shape: Option<Vec<usize>>,
    read: Option<Data>,
    /// Where the data stand that came before their type or the input's name.
    unread: Option<Scanner<'a>>,
    follows: Option<usize>,
    memory: Named,
}

fn input<'a>(scanner: &mut Scanner<'a>) -> Result<Input, Broken> {
    let mut partial = Partial::default();
    scanner.object(|scanner: &mut Scanner<'a>, name| {
        partial.take(scanner, name).map_err(|broken| broken.within(name))
    })?;
    partial.finish()
}

impl<'a> Partial<'a> {
    fn take(&mut self, scanner: &mut Scanner<'a>, member: &str) -> Result<(), Broken> {
        match member {
            "name" => self.name = Some(scanner.string()?.into_owned()),
            "datatype" => {
                let datatype = scanner.string()?;
                self.element = datatype::of_name(&datatype);
                self.datatype = Some(datatype.into_owned());
            }
            "shape" => {
                let mut shape = Vec::with_capacity(4);
                scanner.array(|scanner| {
                    shape.push(usize::try_from(scanner.unsigned()?).unwrap_or(usize::MAX));
                    Ok::<_, JsonError>(())
                })?;
                self.shape = Some(shape);
            }
            "parameters" if !is_null(scanner)? => {
                each_parameter(scanner, |name, value| self.parameter(name, &value))?;
            }
            "parameters" => {}
            "data" => match (self.element, &self.name) {
                (Some(element), Some(_)) => self.data(element, scanner)?,
                _ => {
                    self.unread = Some(scanner.clone());
                    scanner.skip()?;
                }
            },
            _ => scanner.skip()?,
        }
        Ok(())
    }

    fn parameter(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        match (name, value) {
            ("binary_data_size", Value::Whole(bytes)) if *bytes >= 0 => {
                self.follows = usize::try_from(*bytes).ok();
            }
            ("binary_data_size", _) => {
                return Err(Refusal::invalid(
                    "Unable to parse 'binary_data_size': attempt to access JSON non-unsigned-integer as \
                     unsigned-integer",
                ));
            }
            _ => drop(self.memory.take(name, value)?),
        }
        Ok(())
    }

    fn data(&mut self, element: ElementType, scanner: &mut Scanner<'a>) -> Result<(), Broken> {
        let count = self.shape.as_deref().and_then(count).unwrap_or(0);
        let Some(data) = scanner.tensor(element, count)? else {
            let name = self.name.as_deref().unwrap_or_default();
            return Err(Broken::Refused(Refusal::invalid(format!(
                "receiving {} data via JSON is not supported. Please use the binary data format for input {name}",
                datatype::name(element)
            ))));
        };
        self.read = Some(data);
        Ok(())
    }

    fn finish(mut self) -> Result<Input, Broken> {
        if let (Some(element), Some(mut unread)) = (self.element, self.unread.take()) {
            self.data(element, &mut unread).map_err(|broken| broken.within("data"))?;
        }
        let Self { name, datatype, element, shape, read, follows, memory, .. } = self;
        let name = name.ok_or_else(|| Broken::missing("name"))?;
        let datatype = datatype.ok_or_else(|| Broken::missing("datatype"))?;
        let unknown = || Refusal::invalid(format!("invalid datatype '{datatype}' for input '{name}'"));
        let element = element.ok_or_else(unknown)?;
        let shape = shape.ok_or_else(|| Broken::missing("shape"))?;
        let data = match (read, follows, memory.window()?) {
            (Some(read), None, None) => Sent::Read(read),
            (None, Some(bytes), None) => Sent::Follows(bytes),
            (None, None, Some(window)) => Sent::Shared(window),
            (read, follows, window) => {
                return Err(Broken::Refused(not_one(&[
                    (read.is_some(), "'data'"),
                    (follows.is_some(), "'binary_data_size'"),
                    (window.is_some(), "'shared_memory_region'"),
                ])));
            }
        };
        Ok(Input { name, element, shape, data })
    }
}

/// Says that an input's data are nowhere, or in two places.
fn not_one(places: &[(bool, &str)]) -> Refusal {
    let set: Vec<&str> = places.iter().filter(|(set, _)| *set).map(|(_, place)| *place).collect();
    let but =
        if set.is_empty() { "But no field is set".to_owned() } else { format!("But set {}", set.join(" ")) };
    Refusal::invalid(format!(
        "Input must set only one of the following fields: 'data', 'binary_data_size' in 'parameters', \
         'shared_memory_region' in 'parameters'. {but}"
    ))
}

/// Returns how many elements a shape has; `None` beyond what can be counted.
pub(in crate::oip) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size))
}

fn output(scanner: &mut Scanner<'_>) -> Result<WantedOutput, Broken> {
    let (mut output, mut named) = (WantedOutput::default(), false);
    members(scanner, |scanner, member| {
        match member {
            "name" => {
                named = true;
                output.name = scanner.string()?.into_owned();
            }
            "parameters" if !is_null(scanner)? => {
                each_parameter(scanner, |name, value| output.parameter(name, &value))?;
            }
            "parameters" => {}
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    if named { Ok(output) } else { Err(Broken::missing("name")) }
}

impl WantedOutput {
    /// Takes one parameter in.
    ///
    /// # Errors
    /// A known one with a value that means nothing.
    pub fn parameter(&mut self, name: &str, value: &Value) -> Result<(), Refusal> {
        match (name, value) {
            ("binary_data", Value::Bool(binary)) => self.binary = Some(*binary),
            ("binary_data", _) => {
                return Err(Refusal::invalid("parameter 'binary_data' must be true or false"));
            }
            ("classification", Value::Whole(classes)) if *classes > 0 => {
                self.classes = usize::try_from(*classes).ok();
            }
            ("classification", _) => {
                return Err(Refusal::invalid("the value of 'classification' must be a whole number above 0"));
            }
            _ => drop(self.memory.take(name, value)?),
        }
        Ok(())
    }
}
