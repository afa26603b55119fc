"""What starts workflows: schedules, events, deliveries."""
