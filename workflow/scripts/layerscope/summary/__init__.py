"""A study's findings in sentences, made from its tables by rules.

A finding is stated only where a test or an interval supports it; what does not differ significantly
is said to be so, and what the study cannot conclude comes first:

- Scores of models, baselines and training fractions differ where p of a test that draws seeds and
  test examples, after Holm's correction, is below 0.05 (`layerscope.evaluation.significance`).
- Calibration errors differ where their intervals (over seeds and examples) do not overlap, and
  would not either if each were less by the error that a calibrated model with the same confidences
  has by chance.
- Seen and unseen entities differ where the interval of their difference excludes 0.
- What has one value per seed (probes, similarity, how far heads change, what interventions cost)
  has Student's interval of the mean over seeds. With few seeds only large effects are significant.
  That of one layer that is exchanged holds for all layers of the model at once (Bonferroni).
- From which layer on the tuned lens gives a model's answers is stated with the range over three
  seeds or more, and counted beyond the answers of a control.
- That heads on which the loss depends change more or less than others of their layer needs p of
  permuting heads within layers of at most 0.05, and an interval over three seeds or more.
- Usable information of the last layer, and what fine-tuning adds to it, is stated where its
  interval over test examples, seeds and training rows of the predictors excludes 0.
- Random weights, selectivity, compression and features before fine-tuning have no interval: their
  values are given, and a sentence says so.
- A head differs from before by more than two seeds do where its interval over examples lies above
  theirs in every seed.
- An association between inner measure and score is stated where p of a permutation of whole models,
  within training fractions, is at most 0.05 after correction for the number of inner measures.
  Nothing is stated with fewer than six independent models.
"""
