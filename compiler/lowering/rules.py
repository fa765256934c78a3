"""Importing this module registers every lowering rule."""
