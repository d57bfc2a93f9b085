-- What was made of images. A row's size is that which the thumbnail really has, so that many wishes meet in one row.
CREATE TABLE media_thumbnail (
	content        BIGINT NOT NULL,        -- of the image
	width          BIGINT NOT NULL,
	height         BIGINT NOT NULL,
	crop           BIGINT NOT NULL,        -- 1: something was cut off
	animated       BIGINT NOT NULL,        -- 1: as it was wanted by who wanted it to move
	made           BIGINT NOT NULL,        -- the content that shows it, refered to; the image's own, not refered to, where that will do
	content_type   BLOB NOT NULL,
	image_type     BLOB NOT NULL,          -- of the image, by its bytes; as it is shown
	image_width    BIGINT NOT NULL,
	image_height   BIGINT NOT NULL,
	image_frames   BIGINT NOT NULL,
	PRIMARY KEY (content, width, height, crop, animated)
);
