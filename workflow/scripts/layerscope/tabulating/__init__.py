"""Tables that are put together from results of earlier stages, a module for each."""
