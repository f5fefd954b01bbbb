"""Words for fleets: plans and jobs, soaks, diagnoses."""
