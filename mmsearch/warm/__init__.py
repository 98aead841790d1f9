"""What a shell needs to get its answer from a process that is warm already. Nothing but built-in modules."""
