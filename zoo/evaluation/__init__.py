"""Cards held against models: claims measured again, figures updated, entries compared, recipes trained again."""
