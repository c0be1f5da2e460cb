DROP TABLE lesson_books;
DROP TABLE lessons;
DROP TABLE feedback;
DROP TABLE outcomes;
DROP TABLE brands;
