"""The commands `envoi outbox …` and `envoi send`."""
