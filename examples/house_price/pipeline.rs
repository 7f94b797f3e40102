//! The pipeline: a house in, its price out; two facts about its district are looked up.

use std::path::Path;

use ml_core::{Facts, Key, LoadError, LookupError, Model, ModelError, ModelOptions, Pipeline, Rejection};
use ndarray::Array2;
use ordered_float::NotNan;
use serde::{Deserialize, Serialize};

/// What a caller sends: what an owner knows about a house.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct House {
    pub area_m2: NotNan<f32>,
    pub rooms: u8,
    pub age_years: NotNan<f32>,
    /// Five digits, by which the facts are found.
    pub postcode: String,
}

/// What the feature store knows about a district, as text: `income,schools`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct District {
    income_keur: f32,
    schools: f32,
}

/// How long it takes to the centre, as the travel service says; a value that replicas share, hence serde.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Minutes(pub f32);

/// What the caller gets back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Price {
    pub price_keur: f32,
}

pub struct HousePrice {
    model: Model,
}

impl HousePrice {
    pub fn load(model: &Path, options: &ModelOptions) -> Result<Self, LoadError> {
        let model = Model::load(model, options)?;
        model.expect(&["features"], &["price"])?;
        Ok(Self { model })
    }
}

impl District {
    /// Reads what the feature store holds.
    pub fn read(bytes: &[u8]) -> Result<Self, LookupError> {
        let text = std::str::from_utf8(bytes).map_err(LookupError::new)?;
        let numbers = text.split_once(',').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (income_keur, schools) =
            numbers.ok_or_else(|| LookupError::new(format!("no district: {text}")))?;
        Ok(Self { income_keur, schools })
    }
}

impl Minutes {
    /// Reads what the travel service answers.
    pub fn read(bytes: &[u8]) -> Result<Self, LookupError> {
        serde_json::from_slice(bytes).map_err(LookupError::new)
    }
}

impl Pipeline for HousePrice {
    type Input = House;
    type Features = [f32; 6];
    type Prediction = f32;
    type Output = Price;

    fn validate(&self, house: &House) -> Result<(), Rejection> {
        if !(10.0..=1000.0).contains(&house.area_m2.into_inner()) {
            return Err(Rejection::new("area_m2", "range").value(house.area_m2).limit("10 to 1000"));
        }
        if house.postcode.len() != 5 || !house.postcode.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Rejection::new("postcode", "digits").value(&house.postcode).limit("five digits"));
        }
        Ok(())
    }

    fn lookups(&self, house: &House) -> Vec<Key> {
        vec![Key::new("districts", &house.postcode), Key::new("travel", &house.postcode)]
    }

    fn clean(&self, house: House, facts: &Facts) -> Result<[f32; 6], Rejection> {
        let unknown = || Rejection::new("postcode", "known").value(&house.postcode);
        let district: &District = facts.of("districts", &house.postcode).ok_or_else(unknown)?;
        let Minutes(minutes) = facts.of("travel", &house.postcode).ok_or_else(unknown)?;
        let (area, age) = (house.area_m2.into_inner(), house.age_years.into_inner());
        Ok([area, house.rooms.into(), age, district.income_keur, district.schools, *minutes])
    }

    fn predict_batch(&self, batch: &[[f32; 6]]) -> Result<Vec<f32>, ModelError> {
        let outputs = self.model.run(vec![("features", Array2::from(batch.to_vec()).into())])?;
        Ok(outputs.get::<f32>("price")?.iter().copied().collect())
    }

    fn format(&self, price_keur: f32) -> Price {
        Price { price_keur }
    }

    fn models(&self) -> Vec<&Model> {
        vec![&self.model]
    }
}
