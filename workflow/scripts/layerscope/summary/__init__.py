"""A study's findings in sentences, made from its tables by rules.

A finding is stated only where an interval supports it, and what is not told apart is said to be so:

- Two models' scores differ where p of the paired test, after Holm's correction, is below 0.05. Two
  shares of the data differ where their intervals (over examples and seeds) do not overlap, which is
  stricter than a test of the difference.
- Calibration errors differ where their intervals do not overlap, and would not either if each were
  less by the error that a calibrated model with the same confidences has by chance.
- Seen and unseen entities differ where the interval of their difference excludes 0.
- What has one value a seed (probes, similarity, how far heads move, what interventions cost) has
  Student's interval of the mean over seeds. With two seeds only large effects pass it.
- A head differs from before by more than two seeds do where its interval over examples lies above
  theirs in every seed.
- An association between inner measure and score is stated where p of a permutation of whole models,
  within training fractions, is at most 0.05 after correction for the number of inner measures.
  Nothing is stated with fewer than six independent models.
"""
