"""The backend: what serves, stores and retrains. Imports `models`, never the other way round."""
