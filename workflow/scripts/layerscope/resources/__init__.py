"""What the jobs of a study are and what each needs, before anything runs."""
