//! Several boxes together: end to end, crashes, faults, structure
