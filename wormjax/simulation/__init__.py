"""Systems whose graph is known: simulated worms, springs, charged particles, phase oscillators."""
