"""What the user has set: settings, rules, budgets, plans, keys, and where all of it is."""
