"""What tests of Envoi, and of modules written for it, build on."""
