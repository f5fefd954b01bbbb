"""What people see while cases run, and at their end."""
