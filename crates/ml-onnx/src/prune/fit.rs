//! Which columns stay, and what the layer that takes them becomes.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::solve::{Cholesky, with_ridge};

/// How much the diagonal is raised, as a share of its mean.
const RIDGE: f64 = 1e-3;

/// Columns that are removed at once, where each stands alone.
const STEP: usize = 32;

/// Sums over rows of what a block's last layer takes and should give.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Of the columns, and a column of ones for the bias, with each other.
    gram: Array2<f64>,
    /// Of these columns with the wanted outputs.
    cross: Array2<f64>,
    rows: usize,
}

/// A block made narrower.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// The columns that stay, in ascending order.
    pub kept: Vec<usize>,
    /// The last layer's matrix: a row for each of them.
    pub weights: Array2<f32>,
    /// Its bias.
    pub bias: Array1<f32>,
}

impl Moments {
    /// Begins with nothing seen.
    pub fn new(width_in: usize, width_out: usize) -> Self {
        let (gram, cross) =
            (Array2::zeros((width_in + 1, width_in + 1)), Array2::zeros((width_in + 1, width_out)));
        Self { gram, cross, rows: 0 }
    }

    /// Takes rows in: of the hidden value, and of what the last layer should give for them.
    pub fn add(&mut self, hidden: ArrayView2<'_, f32>, wanted: ArrayView2<'_, f32>) {
        let columns = hidden.ncols();
        // Products of some hundred rows in f32 lose nothing that matters; their sums do not stay in f32.
        self.gram
            .slice_mut(s![..columns, ..columns])
            .zip_mut_with(&hidden.t().dot(&hidden), |sum, part| *sum += f64::from(*part));
        self.cross
            .slice_mut(s![..columns, ..])
            .zip_mut_with(&hidden.t().dot(&wanted), |sum, part| *sum += f64::from(*part));
        for (at, sum) in hidden.sum_axis(Axis(0)).iter().enumerate() {
            self.gram[(at, columns)] += f64::from(*sum);
            self.gram[(columns, at)] += f64::from(*sum);
        }
        self.gram[(columns, columns)] += hidden.nrows() as f64;
        self.cross
            .row_mut(columns)
            .zip_mut_with(&wanted.sum_axis(Axis(0)), |sum, part| *sum += f64::from(*part));
        self.rows += hidden.nrows();
    }

    /// Chooses the columns that stay, in groups, and fits the layer to them; none where nothing was seen.
    pub fn fit(
        &self,
        weights: &Array2<f32>,
        bias: &Array1<f32>,
        keep: usize,
        group: usize,
    ) -> Option<Fitted> {
        let rows = self.rows as f64;
        let columns = weights.nrows();
        let wide = weights.mapv(f64::from);
        let gram = self.gram.slice(s![..columns, ..columns]).mapv(|sum| sum / rows);
        let kept =
            if keep < columns { columns_to_keep(&gram, &wide, keep, group)? } else { (0..columns).collect() };
        let with_bias: Vec<usize> = kept.iter().copied().chain([columns]).collect();
        let gram = self.gram.select(Axis(0), &with_bias).select(Axis(1), &with_bias) / rows;
        let (gram, ridge) = with_ridge(gram, RIDGE);
        // Drawn to the weights as they were: where the data say nothing, nothing changes.
        let bias = bias.mapv(f64::from).insert_axis(Axis(0));
        let before = concatenate(Axis(0), &[wide.select(Axis(0), &kept).view(), bias.view()]).ok()?;
        let right = self.cross.select(Axis(0), &with_bias) / rows + before * ridge;
        let solved = Cholesky::of(&gram)?.solve(&right).mapv(|number| number as f32);
        let (weights, bias) = solved.view().split_at(Axis(0), kept.len());
        Some(Fitted { weights: weights.to_owned(), bias: bias.row(0).to_owned(), kept })
    }
}

/// Removes columns, those first that the outputs miss least, until `keep` are left.
///
/// The measure of a group is what the squared error grows by when it goes and all others make up for it:
/// `tr(Wᵀ (H⁻¹)⁻¹ W)` over its rows and columns.
fn columns_to_keep(
    gram: &Array2<f64>,
    weights: &Array2<f64>,
    keep: usize,
    group: usize,
) -> Option<Vec<usize>> {
    let mut inverse = Cholesky::of(&with_ridge(gram.clone(), RIDGE).0)?.inverse();
    let mut weights = weights.clone();
    let mut left: Vec<usize> = (0..weights.nrows()).collect();
    while left.len() > keep {
        let gone = if group == 1 {
            cheapest(&inverse, &weights, STEP.min(left.len() - keep))
        } else {
            cheapest_group(&inverse, &weights, group)?
        };
        let stay: Vec<usize> = (0..left.len()).filter(|at| !gone.contains(at)).collect();
        // Schur's complement: the inverse without these, and the others' weights making up for them.
        let rows = inverse.select(Axis(0), &gone);
        let among = Cholesky::of(&rows.select(Axis(1), &gone))?;
        let across = rows.select(Axis(1), &stay);
        let made_up = among.solve(&weights.select(Axis(0), &gone));
        weights = weights.select(Axis(0), &stay) - across.t().dot(&made_up);
        inverse =
            inverse.select(Axis(0), &stay).select(Axis(1), &stay) - across.t().dot(&among.solve(&across));
        left = stay.into_iter().map(|at| left[at]).collect();
    }
    Some(left)
}

fn cheapest(inverse: &Array2<f64>, weights: &Array2<f64>, count: usize) -> Vec<usize> {
    let cost = |at: usize| weights.row(at).dot(&weights.row(at)) / inverse[(at, at)];
    let costs: Vec<f64> = (0..weights.nrows()).map(cost).collect();
    let mut order: Vec<usize> = (0..costs.len()).collect();
    order.sort_by(|&one, &other| costs[one].total_cmp(&costs[other]));
    order.truncate(count);
    order.sort_unstable();
    order
}

fn cheapest_group(inverse: &Array2<f64>, weights: &Array2<f64>, group: usize) -> Option<Vec<usize>> {
    let columns = |number: usize| (number * group..(number + 1) * group).collect::<Vec<_>>();
    let cost = |number: usize| {
        let range = columns(number);
        let own = weights.select(Axis(0), &range);
        let among = Cholesky::of(&inverse.select(Axis(0), &range).select(Axis(1), &range))?;
        Some((&own * &among.solve(&own)).sum())
    };
    let costs = (0..weights.nrows() / group).map(cost).collect::<Option<Vec<f64>>>()?;
    let best = (0..costs.len()).min_by(|&one, &other| costs[one].total_cmp(&costs[other]))?;
    Some(columns(best))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hidden values of six columns: the third is twice the first, the last is never used.
    fn rows() -> (Array2<f32>, Array2<f32>, Array1<f32>) {
        let hidden = Array2::from_shape_fn((200, 6), |(row, column)| {
            let noise = |seed: usize| ((row * 7919 + seed * 104_729) % 1000) as f32 / 500.0 - 1.0;
            if column == 2 { 2.0 * noise(1) } else { noise(column + 1) }
        });
        let mut weights =
            Array2::from_shape_fn((6, 3), |(row, column)| (row as f32 - 2.5) * (column as f32 + 1.0));
        weights.row_mut(5).fill(1e-3);
        (hidden, weights, ndarray::array![0.5, -0.5, 1.0])
    }

    #[test]
    fn what_others_can_make_up_for_goes_first() {
        let (hidden, weights, bias) = rows();
        let wanted = hidden.dot(&weights) + &bias;
        let mut moments = Moments::new(6, 3);
        for rows in [s![..100, ..], s![100.., ..]] {
            moments.add(hidden.slice(rows), wanted.slice(rows));
        }
        let fitted = moments.fit(&weights, &bias, 4, 1).unwrap();
        assert!(fitted.kept == [0, 1, 3, 4] || fitted.kept == [1, 2, 3, 4], "{:?}", fitted.kept);
        let left = hidden.select(Axis(1), &fitted.kept).dot(&fitted.weights) + &fitted.bias;
        let error =
            (&left - &wanted).mapv(|rest| rest * rest).sum() / wanted.mapv(|number| number * number).sum();
        assert!(error < 1e-4, "{error}");
    }

    #[test]
    fn groups_go_together() {
        let (hidden, weights, bias) = rows();
        let mut moments = Moments::new(6, 3);
        moments.add(hidden.view(), (hidden.dot(&weights) + &bias).view());
        let fitted = moments.fit(&weights, &bias, 4, 2).unwrap();
        let pairs: Vec<usize> = fitted.kept.iter().map(|column| column / 2).collect();
        assert!(pairs[0] == pairs[1] && pairs[2] == pairs[3], "{:?}", fitted.kept);
    }

    #[test]
    fn with_all_columns_kept_the_layer_stays_as_it_was() {
        let (hidden, weights, bias) = rows();
        let mut moments = Moments::new(6, 3);
        moments.add(hidden.view(), (hidden.dot(&weights) + &bias).view());
        let fitted = moments.fit(&weights, &bias, 6, 1).unwrap();
        let change = (&fitted.weights - &weights).iter().fold(0.0_f32, |most, change| most.max(change.abs()));
        assert!(fitted.kept.len() == 6 && change < 1e-3, "{change}");
    }
}
